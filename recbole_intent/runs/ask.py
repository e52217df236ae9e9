"""Runs and their evaluation from plain arguments: the functions of `import recbole_intent`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_intent.runs import experiment
from recbole_intent.runs.evaluate import evaluate_run
from recbole_intent.runs.outcome import Run, html_table, metrics_table, ranks_table
from recbole_intent.utils.printable import show_log_once


def run(
    model: str,
    dataset: str,
    *,
    config_files: Sequence[str | Path] | str | Path = (),
    output: str | Path | None = None,
    fresh: bool = False,
    allow_unknown: bool = False,
    callbacks: Sequence[Any] = (),
    **keys: Any,
) -> Run:
    """Train a model, choose its epoch on validation, and test it once.

    The same call again continues a run that was cut off and reads one that is finished.

    Args:
        model: a name of `models()`, or `package.module:Class`.
        dataset: a prepared dataset; `ml-100k` comes with RecBole.
        config_files: YAML files with further keys; later ones win.
        output: the run's folder; None: `saved/<model>-<dataset>-<seed>-<fingerprint>`.
        fresh: overwrite a run in that folder.
        allow_unknown: accept keys that no default file defines.
        callbacks: objects with any of the methods `on_run_start`, `on_batch_end`,
            `on_evaluation_end`, `on_epoch_end`, `on_run_end`; each gets a dictionary.
        keys: any key of RecBole or of properties/, such as `epochs=5`.

    Returns:
        The run, with tables `metrics`, `curve` and `ranks`, and its `folder`.

    Raises:
        UserError: bad configuration, data or folder.
    """
    show_log_once()
    return experiment.run(
        model,
        dataset,
        config_files,
        keys,
        output=output,
        fresh=fresh,
        allow_unknown=allow_unknown,
        callbacks=callbacks,
    )


@dataclass(frozen=True, repr=False)
class Evaluated:
    """Test results of a run under other conditions.

    Attributes:
        folder: the run's folder.
        conditions: the keys that differ from the run's.
        test: metric → value.
        path: the file with these results.
    """

    folder: Path
    conditions: dict[str, Any]
    test: dict[str, float]
    path: Path
    _ranks: Any

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per metric, column `test`."""
        return metrics_table({"test": self.test})

    @property
    def ranks(self) -> pd.DataFrame:
        """Rank of each test target: `user_id` and `item_id` of the dataset, `rank` from 1."""
        return ranks_table(self.folder, self._ranks)

    def __repr__(self) -> str:
        name, value = next(iter(self.test.items()))
        return f"Evaluated({self.conditions}: test {name} {value:.4f}; {self.path})"

    def _repr_html_(self) -> str:
        return html_table(self.metrics, str(self.conditions), self.path)


def evaluate(run: Run | str | Path, **conditions: Any) -> Evaluated:
    """Rank the test targets of a finished run under other conditions, with its best weights.

    Args:
        run: the run, or its folder.
        conditions: keys that need no training, such as `noise={"ratio": 0.2}`, `task="direct"` or
            `mask_history=True`; a number for `noise` is its ratio.

    Returns:
        The results, with tables `metrics` and `ranks`.

    Raises:
        UserError: not a finished run, a key that needs training, or files that have changed.
    """
    if isinstance(conditions.get("noise"), float):
        conditions["noise"] = {"ratio": conditions["noise"]}
    folder = run.folder if isinstance(run, Run) else Path(run)
    done = evaluate_run(folder, conditions)
    return Evaluated(folder, conditions, done.test, done.path, done.ranks)
