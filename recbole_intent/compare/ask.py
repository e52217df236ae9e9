"""Comparisons from plain arguments: the function `recbole_intent.compare`."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from recbole_intent.compare.entries import Entry, read_entries, refuse_protocol
from recbole_intent.compare.request import Request
from recbole_intent.config.command_keys import COMPARE, refuse
from recbole_intent.config.given import known_keys
from recbole_intent.config.keys import SHARED
from recbole_intent.runs.early import check_run
from recbole_intent.runs.outcome import html_table
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.printable import show_log_once

if TYPE_CHECKING:  # imports torch
    from recbole_intent.compare.compare import Outcome

_LOGGER = logging.getLogger("recbole_intent")
FIRST_SEED = 2020


class Compared:
    """The outcome of a comparison.

    Attributes:
        folder: contains tables, figures, `report.md` and `page.html`.
        outcome: the numbers behind the tables.
    """

    def __init__(self, outcome: "Outcome") -> None:
        self.folder, self.outcome = outcome.folder, outcome

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Name → table in full precision, such as `test`, `gain`, `cost` and `runs`."""
        return {name: pd.DataFrame(table.records) for name, table in self.outcome.tables.items()}

    @property
    def metrics(self) -> pd.DataFrame:
        """The table of test metrics."""
        return self.tables["test"]

    @property
    def figures(self) -> dict[str, Path]:
        """Name → picture."""
        files = sorted(self.folder.iterdir())
        return {f.stem: f for f in files if f.suffix in (".png", ".svg", ".pdf")}

    def __repr__(self) -> str:
        return f"Compared({self.outcome.tables['test'].title}; {self.folder})"

    def _repr_html_(self) -> str:
        return html_table(self.metrics, self.outcome.tables["test"].title, self.folder)


def compare(
    models: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
    dataset: str,
    *,
    seeds: int | Sequence[int] = 1,
    reference: str | None = None,
    params: str | None = None,
    noise: float | Sequence[float] | Mapping[str, Any] | None = (),
    noise_kinds: Sequence[str] = (),
    also: Sequence[str] = (),
    workers: int = 1,
    output: str | Path | None = None,
    figures: str = "png",
    fresh: bool = False,
    allow_unknown: bool = False,
    config_files: Sequence[str | Path] | str | Path = (),
    command: Sequence[str] = (),
    callbacks: Sequence[str] = (),
    **keys: Any,
) -> Compared:
    """Train several models under one protocol and test their differences.

    Finished runs are read again, and a comparison that was cut off continues.

    Args:
        models: names, or labels of `params`; or label → keys of this model only, with its name
            under `model` if the label is another.
        dataset: a prepared dataset.
        seeds: the seeds, or how many: 3 is 2020, 2021 and 2022.
        reference: label that the others are tested against; None: the first.
        params: path of a YAML file with models and their keys (`entries.read_entries`).
        noise: shares of noise in the test histories, in (0, 1]; or a mapping, the key `noise` of
            all models.
        noise_kinds: `replace` (if empty), `insert`, `delete`, `shuffle`.
        also: tasks to test the runs on as well, or `masked` or `unmasked`: with the history
            excluded from the ranking or not. `mask_history="both"` is `also="masked"`.
        workers: trainings side by side.
        output: folder of tables and figures; None: chosen from the content.
        figures: format of the figures: `png`, `svg` or `pdf`.
        fresh: train again.
        allow_unknown: accept keys that no default file defines.
        config_files: YAML files for all models; later ones win.
        command: words of the command line, for the report.
        callbacks: paths `package.module:Class` of classes with hooks (`run`); each training is a
            process and creates its own.
        keys: for all models, `epochs=5`; or for one, `**{"IGRSR.n_prefix": 4}`. A key that some
            models lack is passed over for these.

    Returns:
        The comparison: `tables` and `metrics` as DataFrames, `figures`, `folder`.

    Raises:
        UserError: an invalid argument, no successful run, or runs with different test targets.
    """
    show_log_once()
    if isinstance(config_files, str | Path):  # one path, not its letters
        config_files = [config_files]
    if isinstance(noise, Mapping | None):
        keys, noise = {**keys, "noise": noise}, ()
    tasks = [also] if isinstance(also, str) else list(also)
    if keys.get("mask_history") == "both":
        keys = {key: value for key, value in keys.items() if key != "mask_history"}
        tasks = [*dict.fromkeys([*tasks, "masked"])]
    ratios = list(noise) if isinstance(noise, Sequence) else [noise]
    if noise_kinds and not ratios:
        raise UserError("--noise_kinds: goes with ratios, such as --noise=0.1,0.2")
    kinds = list(noise_kinds) or ["replace"]
    refuse(COMPARE, {"noise": ratios, "noise_kinds": kinds, "workers": workers})
    for_all = {key: value for key, value in keys.items() if "." not in key}
    entries = _entries(models, params, dataset, for_all)
    own = {key: value for key, value in keys.items() if key not in for_all}
    entries = _with_own_keys(entries, own)
    files: Sequence[str | Path] = list(config_files)
    lacked: dict[str, list[str]] = {}
    if not allow_unknown:
        of_files = {key: value for path in files for key, value in read_yaml(path).items()}
        lacked = _lacked_keys(entries, dataset, {**of_files, **for_all})
        if any(key in of_files for lacking in lacked.values() for key in lacking):
            for_all, files = {**of_files, **for_all}, ()
    request = Request(
        dataset,
        entries,
        _seeds(seeds),
        reference=reference,
        config_files=[str(path) for path in files],
        overrides=for_all,
        noise=[(kind, ratio) for kind in kinds for ratio in ratios],
        tasks=tasks,
        workers=workers,
        figures=figures,
        output=None if output is None else str(output),
        fresh=fresh,
        allow_unknown=allow_unknown,
        command=command,
        passed_over=lacked,
        callbacks=callbacks,
    )
    for entry in request.entries:
        values = request.overrides_of(entry, request.seeds[0])
        try:
            check_run(entry.model, dataset, request.config_files, values, allow_unknown)
        except UserError as error:
            raise UserError(f"{entry.label}: {error}") from error
    for note in request.notes():
        _LOGGER.warning("%s", note)
    from recbole_intent.compare.compare import compare as compare_runs

    return Compared(compare_runs(request))


def _entries(
    models: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
    params: str | None,
    dataset: str,
    shared: Mapping[str, Any],
) -> list[Entry]:
    if isinstance(models, Mapping):
        entries = []
        for label, values in models.items():
            own = dict(values or {})
            model = own.pop("model", label)
            refuse_protocol(own, label)
            entries.append(Entry(label, model, own))
        return entries
    return read_entries([models] if isinstance(models, str) else models, params, dataset, shared)


def _with_own_keys(entries: Sequence[Entry], own: Mapping[str, Any]) -> list[Entry]:
    """Give the entries their keys of the form `LABEL.KEY`."""
    changed = {entry.label: entry for entry in entries}
    for name, value in own.items():
        label = max((one for one in changed if name.startswith(f"{one}.")), key=len, default=None)
        if label is None:
            where = name.partition(".")[0]
            raise UserError(f"--{name}: {where} is not among the models ({', '.join(changed)})")
        key = name.removeprefix(f"{label}.")
        refuse_protocol({key: value}, f"--{label}.")
        entry = changed[label]
        changed[label] = replace(entry, values={**entry.values, key: value})
    return list(changed.values())


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if not isinstance(seeds, int):
        return list(seeds)
    if isinstance(seeds, bool) or not 1 <= seeds <= 100:
        raise UserError(f"seeds={seeds}: the number of seeds, or a list such as [2020, 2021]")
    return list(range(FIRST_SEED, FIRST_SEED + seeds))


def _lacked_keys(
    entries: Sequence[Entry], dataset: str, keys: Collection[str]
) -> dict[str, list[str]]:
    """Return label → keys that its model lacks and another one has."""
    known = {
        model: known_keys(model, dataset) or _keys_of_class(model, dataset)
        for model in {entry.model for entry in entries if keys}
    }
    everyone = {*SHARED, *(key for keys in known.values() for key in keys)}
    lacked = {
        entry.label: [key for key in keys if key in everyone - SHARED.keys() - known[entry.model]]
        for entry in entries
        if keys
    }
    return {label: keys for label, keys in lacked.items() if keys}


def _keys_of_class(model: str, dataset: str) -> set[str]:
    from recbole_intent.config.config import Config

    config = Config(model, dataset)
    lists = config.parameters.values()
    return {*config.final_config_dict, *(key for names in lists for key in names)}
