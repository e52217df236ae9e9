"""Evaluation of a finished run under other conditions (noise, mask, task), and its timing."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.config import keys
from recbole_intent.config.config import Config
from recbole_intent.config.keys import with_role
from recbole_intent.data.loading.inputs import Inputs
from recbole_intent.data.loading.split import noise_of
from recbole_intent.evaluation.definitions import result_names
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.runs.early import CONDITIONS, check_finished
from recbole_intent.runs.experiment import build, refuse_other_data
from recbole_intent.runs.result import TRAIN_AGAIN, read_result
from recbole_intent.trainer.base import BEST
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint, remove_dead_temporaries, write_json
from recbole_intent.utils.own_files import NUMBER, Kinds, checked, read_json, read_mapping
from recbole_intent.utils.ownership import RUN, refuse_foreign

_LOGGER = logging.getLogger("recbole_intent")
MACHINE = CONDITIONS & with_role(keys.MACHINE)  # change its speed but not its ranks


@dataclass(frozen=True)
class Evaluation:
    """Test metrics of a run under given conditions.

    Attributes:
        path: the JSON file with these results, in the run's `evaluations/`.
        test: metric name -> value.
        ranks: of every test target.
        candidates: of the direct task, as in `result.json`; None if all items were ranked.
    """

    path: Path
    test: dict[str, float]
    ranks: Ranks
    candidates: dict[str, Any] | None = None


def _valid_metric(folder: Path, conditions: Mapping[str, Any]) -> str:
    """Return a requested metric, as the run's `valid_metric` may not be requested."""
    keys = {"metrics": (list, str), "topk": (list, int)}
    path = folder / "config.yaml"
    values = {**read_mapping(path, keys, TRAIN_AGAIN), **conditions}
    metric, k = (
        value[0] if isinstance(value, list) and value else value
        for value in (values["metrics"], values["topk"])
    )
    return result_names([metric], [k])[0]


def evaluate_run(folder: str | Path, conditions: Mapping[str, Any]) -> Evaluation:
    """Rank the test targets of a finished run under other conditions, with its best weights.

    Args:
        folder: the run's folder.
        conditions: values of `CONDITIONS`, such as `{"noise": {"ratio": 0.2}}`.

    Raises:
        UserError: not a finished run, a key that requires training again, atomic files that have
            changed, or candidates that differ from the run's although the seed is the same.
    """
    folder = Path(folder)
    config, inputs = _checked_config(folder, conditions)
    trainer, data = build(config, inputs=inputs)
    _refuse_other_candidates(folder, data.candidates)
    trainer.load_weights(folder / BEST, TRAIN_AGAIN)
    ranks = trainer.rank(data.test)
    test = trainer.metrics(ranks)
    path = _evaluation_path(folder, config, conditions)
    ranks.save(path.with_suffix(".npz"))
    record = {"conditions": dict(conditions), "candidates": data.candidates, "test": test}
    write_json(path, record)
    return Evaluation(path, test, ranks, data.candidates)


def _refuse_other_candidates(folder: Path, candidates: Mapping[str, Any] | None) -> None:
    theirs = read_result(folder).get("candidates")
    if not theirs or not candidates or theirs == candidates:
        return
    keys = {"negatives": int, "seed": int}
    checked(folder / "result.json: candidates", theirs, keys, TRAIN_AGAIN)
    if all(theirs[key] == candidates[key] for key in ("negatives", "seed")):
        raise UserError(
            f"{folder}: its targets were ranked among other candidates than those in "
            "<checkpoint_dir>/candidates now (the hash in result.json differs)"
        )


def find_evaluation(folder: str | Path, conditions: Mapping[str, Any]) -> Evaluation | None:
    """Return the stored result of `evaluate_run` under the same conditions, or None.

    Raises:
        UserError: as `evaluate_run`.
    """
    folder = Path(folder)
    path = _evaluation_path(folder, _checked_config(folder, conditions)[0], conditions)
    if not path.exists():
        return None
    try:
        record = read_json(path, {"test": dict})
        test = checked(path, record["test"], dict.fromkeys(record["test"], NUMBER))
        candidates = record.get("candidates")
        if candidates is not None:
            checked(path, candidates, {"hash": str})
        return Evaluation(path, test, Ranks.load(path.with_suffix(".npz")), candidates)
    except UserError as error:
        _LOGGER.warning("%s; it is made again", error)
        return None


def _checked_config(folder: Path, conditions: Mapping[str, Any]) -> tuple[Config, Inputs]:
    """Return the configuration and files of a finished run under other conditions."""
    check_finished(folder, conditions)
    refuse_foreign(folder, RUN)
    valid_metric = _valid_metric(folder, conditions)
    config = Config.of_run(folder, {**conditions, "valid_metric": valid_metric})
    for key, because in config.key_table.idle(conditions, config.final_config_dict):
        raise UserError(f"--{key}: {keys.no_effect(because)}")
    noise = noise_of(config) if conditions.get("noise") else None
    if noise and noise["where"] != "test":
        raise UserError("noise: where: only `test` can be evaluated without another training")
    inputs = Inputs.of(config)
    refuse_other_data(folder, inputs.fingerprint)
    remove_dead_temporaries(folder / "evaluations", lambda name: RUN.is_own(f"evaluations/{name}"))
    return config, inputs


def _evaluation_path(folder: Path, config: Config, conditions: Mapping[str, Any]) -> Path:
    name = fingerprint({key: config.plain().get(key) for key in sorted(conditions)})[:10]
    return folder / "evaluations" / f"{name}.json"


def time_inference(folder: str | Path, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Measure how long a finished run takes to rank its test targets.

    The result is stored in the run's `inference.json`, or in `evaluations/` for other conditions.
    The faster of two passes counts; nothing else should run meanwhile.

    Args:
        folder: the run's folder.
        machine: values of `MACHINE` keys that differ from the run's, and of other `CONDITIONS`,
            such as `{"task": "direct"}`.

    Returns:
        `seconds_per_1000_users`; `users`; `candidates`: number of ranked items, ignoring the
        history mask; `machine`: the settings of the measurement.

    Raises:
        UserError: not a finished run, or atomic files that have changed.
    """
    folder = Path(folder)
    config, inputs = _checked_config(folder, machine)
    trainer, data = build(config, inputs=inputs)
    trainer.load_weights(folder / BEST, TRAIN_AGAIN)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        users = len(set(trainer.rank(data.test).user.tolist()))
        seconds.append(time.perf_counter() - started)
    record = {
        "seconds_per_1000_users": round(min(seconds) / users * 1000, 4),
        "users": users,
        "candidates": data.test.n_ranked,
        "machine": _machine_settings(config, machine),
    }
    write_json(_inference_path(folder, config, machine), record)
    return record


def find_inference(folder: str | Path, machine: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the stored result of `time_inference` under the same machine settings, or None.

    Raises:
        UserError: as `time_inference`.
    """
    folder = Path(folder)
    config, _ = _checked_config(folder, machine)
    path = _inference_path(folder, config, machine)
    if not path.exists():
        return None
    try:
        keys: Kinds = {
            "seconds_per_1000_users": NUMBER,
            "users": int,
            "candidates": int,
            "machine": dict,
        }
        record = read_json(path, keys)
    except UserError as error:
        _LOGGER.warning("%s; it is measured again", error)
        return None
    return record if record["machine"] == _machine_settings(config, machine) else None


def _inference_path(folder: Path, config: Config, conditions: Mapping[str, Any]) -> Path:
    asked = {key: value for key, value in conditions.items() if key not in MACHINE}
    if not asked:
        return folder / "inference.json"
    path = _evaluation_path(folder, config, asked)
    return path.with_name(f"inference-{path.name}")


def _machine_settings(config: Config, machine: Mapping[str, Any]) -> dict[str, Any]:
    return {**machine, "device": str(config["device"])}
