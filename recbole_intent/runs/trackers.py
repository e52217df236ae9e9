"""Callbacks that send a run to Weights & Biases or MLflow (`log_wandb`, `log_mlflow`)."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import write_json
from recbole_intent.utils.own_files import read_json

FILE = "trackers.json"  # in the run's folder: a run that continues goes on in the same one there
_PARAMETERS = 100  # of one request to MLflow


def trackers_of(config: Any) -> Iterator[Any]:
    """Yield the callbacks that a configuration asks for.

    Raises:
        UserError: the tracker's package is missing.
    """
    if config["log_wandb"]:
        yield WeightsAndBiases(config["wandb_project"])
    if config["log_mlflow"]:
        yield MLflow(config["mlflow_experiment"])


def _import(key: str, module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{key}: needs {module}: pip install 'recbole_intent[{extra}]', or {key}: False"
        ) from error


def _by_epoch(epoch: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of `on_epoch_end` by name."""
    return {
        **{f"train/{name}": value for name, value in epoch["loss"].items()},
        **{f"valid/{name}": value for name, value in epoch["valid"].items()},
        "learning_rate": epoch["learning_rate"],
        "seconds": epoch["seconds"],
    }


def _known_id(folder: str, tracker: str) -> str | None:
    path = Path(folder) / FILE
    return read_json(path, {}).get(tracker) if path.is_file() else None


def _keep_id(folder: str, tracker: str, name: str) -> None:
    path = Path(folder) / FILE
    kept = read_json(path, {}) if path.is_file() else {}
    write_json(path, {**kept, tracker: name})


class WeightsAndBiases:
    """Sends a run to Weights & Biases.

    Args:
        project: its project there.
    """

    def __init__(self, project: str) -> None:
        self._wandb, self._project = _import("log_wandb", "wandb", "wandb"), project
        self._run: Any = None

    def on_run_start(self, start: Mapping[str, Any]) -> None:
        """Begin a run there, or go on with it."""
        folder = start["folder"]
        self._run = self._wandb.init(
            project=self._project,
            name=Path(folder).name,
            id=_known_id(folder, "wandb"),
            resume="allow",
            config=start["config"],
        )
        _keep_id(folder, "wandb", self._run.id)

    def on_epoch_end(self, epoch: Mapping[str, Any]) -> None:
        """Send losses and validation metrics."""
        self._run.log({"epoch": epoch["epoch"], **_by_epoch(epoch)}, step=epoch["epoch"])

    def on_evaluation_end(self, evaluation: Mapping[str, Any]) -> None:
        """Send the test metrics, as the run's summary."""
        if evaluation["split"] == "test":
            metrics = {f"test/{name}": value for name, value in evaluation["metrics"].items()}
            self._run.summary.update({**metrics, "best_epoch": evaluation["epoch"]})

    def on_run_end(self, end: Mapping[str, Any]) -> None:
        """End the run there, as failed if it was."""
        if self._run is not None:
            self._run.finish(exit_code=1 if end["error"] else 0)


class MLflow:
    """Sends a run to MLflow, whose names have `_at_` for `@`.

    Args:
        experiment: its experiment there; created if missing.
    """

    def __init__(self, experiment: str) -> None:
        self._mlflow, self._experiment = _import("log_mlflow", "mlflow", "mlflow"), experiment
        self._client: Any = None
        self._id = ""

    def on_run_start(self, start: Mapping[str, Any]) -> None:
        """Begin a run there, or go on with it."""
        folder, client = start["folder"], self._mlflow.MlflowClient()
        known = _known_id(folder, "mlflow")
        if known:
            self._id = known
            client.update_run(known, status="RUNNING")
        else:
            experiment = client.get_experiment_by_name(self._experiment)
            place = (
                experiment.experiment_id
                if experiment
                else client.create_experiment(self._experiment)
            )
            self._id = client.create_run(place, run_name=Path(folder).name).info.run_id
            _keep_id(folder, "mlflow", self._id)
            entity = self._mlflow.entities.Param
            given = [entity(key, str(value)) for key, value in start["config"].items()]
            for first in range(0, len(given), _PARAMETERS):
                client.log_batch(self._id, params=given[first : first + _PARAMETERS])
        self._client = client

    def _send(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._id, name.replace("@", "_at_"), value, step=step)

    def on_epoch_end(self, epoch: Mapping[str, Any]) -> None:
        """Send losses and validation metrics."""
        self._send(_by_epoch(epoch), epoch["epoch"])

    def on_evaluation_end(self, evaluation: Mapping[str, Any]) -> None:
        """Send the test metrics."""
        if evaluation["split"] == "test":
            metrics = {f"test/{name}": value for name, value in evaluation["metrics"].items()}
            self._send({**metrics, "best_epoch": evaluation["epoch"]}, evaluation["epoch"])

    def on_run_end(self, end: Mapping[str, Any]) -> None:
        """End the run there, as failed if it was."""
        if self._client is not None:
            self._client.set_terminated(self._id, "FAILED" if end["error"] else "FINISHED")
