"""A finished run once more, under other conditions: noisy histories, another history mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.config import Config, read_yaml
from recbole_intent.data.split import noise_of
from recbole_intent.errors import UserError
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.experiment import build, inputs_fingerprint, refuse_other_data
from recbole_intent.files import fingerprint, write_json
from recbole_intent.trainer.base import BEST

# What may change without training again.
CONDITIONS = frozenset("device eval_batch_size mask_history metrics noise threads topk".split())


@dataclass(frozen=True)
class Evaluation:
    """Test metrics of a run under given conditions.

    Attributes:
        path: the JSON file that keeps them, in the run's `evaluations/`.
        test: metric name -> value.
        ranks: of every test target.
    """

    path: Path
    test: dict[str, float]
    ranks: Ranks


def _valid_metric(folder: Path, conditions: Mapping[str, Any]) -> str:
    """One of the metrics asked for: the run's own `valid_metric` may not be among them."""
    values = {**read_yaml(folder / "config.yaml"), **conditions}
    metric, k = (
        value[0] if isinstance(value, list) and value else value
        for value in (values["metrics"], values["topk"])
    )
    return f"{metric}@{k}"


def evaluate_run(folder: str | Path, conditions: Mapping[str, Any]) -> Evaluation:
    """Rank the test targets of a finished run under other conditions, with its best weights.

    Args:
        folder: of the run.
        conditions: values of `CONDITIONS`, such as `{"noise": {"ratio": 0.2}}`.

    Raises:
        UserError: not a finished run, a key that would need another training, or atomic files
            that have changed since.
    """
    folder = Path(folder)
    for key in conditions:
        if key not in CONDITIONS:
            raise UserError(
                f"--{key}: would need another training; evaluate takes "
                f"{', '.join(sorted(CONDITIONS))}"
            )
    if not (folder / "result.json").is_file():
        raise UserError(f"{folder}: no finished run (no result.json)")
    valid_metric = _valid_metric(folder, conditions)
    config = Config.of_run(folder, {**conditions, "valid_metric": valid_metric})
    if conditions.get("noise") and noise_of(config)["where"] != "test":
        raise UserError("noise: where: only `test` can be evaluated without another training")
    refuse_other_data(folder, inputs_fingerprint(config))
    trainer, data = build(config)
    trainer.load_weights(folder / BEST)
    ranks = trainer.rank(data.test)
    test = trainer.metrics(ranks)
    name = fingerprint({key: config.plain().get(key) for key in sorted(conditions)})[:10]
    path = folder / "evaluations" / f"{name}.json"
    write_json(path, {"conditions": dict(conditions), "test": test})
    ranks.save(path.with_suffix(".npz"))
    return Evaluation(path, test, ranks)
