"""Searches from plain arguments: the function `recbole_intent.tune`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_intent.runs.outcome import html_table, metrics_table
from recbole_intent.tune import tune as search
from recbole_intent.utils.printable import show_log_once

_OPTIONS = frozenset(field.name for field in fields(search.Options))


class Tuned:
    """The outcome of a search.

    Attributes:
        folder: its folder.
        best: the values of the best trial.
        result: `result.json` of the best trial, which alone was tested.
    """

    def __init__(self, sweep: search.Sweep) -> None:
        self.folder, self.result = sweep.folder, sweep.result
        self.best: dict[str, Any] = dict(sweep.best.params)

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics of the best trial: one row per metric, columns `valid` and `test`."""
        return metrics_table({part: self.result[part] for part in ("valid", "test")})

    @property
    def trials(self) -> pd.DataFrame:
        """All trials: values, validation metrics, status (`trials.csv`)."""
        return pd.read_csv(self.folder / "trials.csv")

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value}" for key, value in self.best.items())
        return f"Tuned({self.result['model']} on {self.result['dataset']}: {values}; {self.folder})"

    def _repr_html_(self) -> str:
        return html_table(self.metrics, repr(self), self.folder)


def tune(
    model: str,
    dataset: str,
    *,
    space: Mapping[str, Any] | None = None,
    trials: int = 16,
    config_files: Sequence[str | Path] | str | Path = (),
    **options: Any,
) -> Tuned:
    """Search hyper-parameters on validation with Ray Tune, then test the best trial once.

    Args:
        model: a name of `models()`, or `package.module:Class`.
        dataset: a prepared dataset.
        space: key → list of values, or `{"uniform": [a, b]}`, `{"loguniform": [a, b]}`,
            `{"int": [a, b]}`; None: the model's own (properties/search).
        trials: number of trials.
        config_files: YAML files for all trials.
        options: of `tune.tune.Options`, such as `scheduler="asha"` or `resources="cpu=1"`; all
            others are keys of every trial, which are then not searched.

    Raises:
        UserError: bad configuration, search space, data or folder; Ray is missing or too old.
    """
    show_log_once()
    own = {key: value for key, value in options.items() if key in _OPTIONS}
    keys = {key: value for key, value in options.items() if key not in _OPTIONS}
    if space is not None:
        own["search"] = space
    how = search.Options(trials=trials, **own)
    return Tuned(search.tune(model, dataset, config_files, keys, how))
