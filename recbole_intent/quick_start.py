"""RecBole's way to start a run: `run_recbole` of `recbole.quick_start`, with these models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def run_recbole_intent(
    model: str,
    dataset: str,
    config_file_list: Sequence[str | Path] | str | Path | None = None,
    config_dict: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train, validate and test a model, and return what RecBole returns.

    Unlike RecBole's function, it does not read the command line.

    Args:
        model: a name of `recbole_intent.models()`, or `package.module:Class`.
        dataset: a prepared dataset.
        config_file_list: YAML files with keys; later ones win.
        config_dict: values that override all files.

    Returns:
        `best_valid_score` (of `valid_metric`), `valid_score_bigger` (a larger one is better),
        `best_valid_result`, `test_result` (metric → value), and `folder`, the run's own.

    Raises:
        UserError: bad configuration or data.
    """
    from recbole_intent.config.config import Config
    from recbole_intent.runs.ask import run

    done = run(model, dataset, config_files=config_file_list or (), **(config_dict or {}))
    config = Config.of_run(done.folder)
    return {
        "best_valid_score": done.result["valid"][config["valid_metric"].lower()],
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": done.result["valid"],
        "test_result": done.result["test"],
        "folder": str(done.folder),
    }
