"""Reproduce a paper's table or figure: run its models and compare with the printed numbers."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.compare.compare import Outcome, compare
from recbole_intent.compare.comparison_tables import deviation_notes
from recbole_intent.compare.entries import Entry
from recbole_intent.compare.reproduce.paper_file import (
    other_tasks,
    own_task,
    printed,
    read_paper_table,
)
from recbole_intent.compare.reproduce.paper_table import measured, paper_table
from recbole_intent.compare.request import NEXT_ITEM, Request, known_presets
from recbole_intent.config.config import Config
from recbole_intent.config.presets import OUR_DEFAULTS
from recbole_intent.config.registry import model_names
from recbole_intent.data.prepare.download import unprepared_message
from recbole_intent.plotting.tables import Table
from recbole_intent.utils.ownership import REPRODUCTION, claim, refuse_foreign

PAPER = "paper"  # default preset of a paper's table, for the models that have it


@dataclass(frozen=True)
class Reproduced:
    """A paper's table with our numbers.

    Attributes:
        folder: contains the table as Markdown, CSV and LaTeX, and one folder per dataset with its
            full comparison.
        table: our numbers next to the printed ones.
    """

    folder: Path
    table: Table


def reproduce(name: str, datasets: Sequence[str], how: Mapping[str, Any]) -> Reproduced:
    """Fill every cell of a paper's table whose dataset is prepared and whose model is available.

    Args:
        name: name of the table, such as `igrsr-table2`.
        datasets: a subset of the table's datasets; empty: all of them.
        how: further arguments of `compare.Request`: seeds, workers, overrides …. The override
            `preset` applies to the models that have it: `paper` by default, `ours` for our
            defaults. The table's notes name the preset.

    Raises:
        UserError: unknown table or dataset, or as `compare`.
    """
    paper = read_paper_table(name, datasets)
    how = dict(how)
    given = how.get("overrides", {})
    of_rows = {key for row in paper["rows"] for key in row.get("defaults") or {}}
    for_all = {key: value for key, value in given.items() if key not in of_rows}
    entries = [
        Entry(row["label"], row["model"], _values(row, given))
        for row in paper["rows"]
        if row["model"] in model_names()
    ]
    having = sorted({e.model for e in entries if PAPER in known_presets(e.model)})
    preset = given.get("preset", PAPER if having else None)
    settings = paper.get("settings") or {}
    how["overrides"] = {**settings, **for_all, "task": own_task(paper), "preset": preset}
    root = how.pop("output", None)
    folder = (
        Path(root) if root else Path(given.get("checkpoint_dir", "saved")) / f"reproduce-{name}"
    )
    refuse_foreign(folder, REPRODUCTION)
    outcomes: dict[str, Outcome | None] = {}
    notes = [*paper.get("notes", ()), *_preset_note(having, preset)]
    labels = [entry.label for entry in entries]
    for dataset in datasets or paper["datasets"]:
        outcomes[dataset] = None
        if not entries or not _is_prepared(entries[0], dataset, how):
            notes.append(f"{unprepared_message(dataset)}.")
            continue
        done = outcomes[dataset] = compare(
            Request(
                dataset,
                entries,
                reference=paper["reference"] if paper["reference"] in labels else None,
                noise=_noise(paper),
                tasks=other_tasks(paper),
                times_tasks=any({"time", "task"} <= column.keys() for column in paper["columns"]),
                output=str(folder / dataset),
                **how,
            )
        )
        _draw(paper, dataset, done, how.get("figures", "png"))
    for outcome in outcomes.values():
        notes += deviation_notes(outcome.comparison) if outcome else []
    table = paper_table(paper, outcomes, [*dict.fromkeys(notes)])
    claim(folder, REPRODUCTION)
    table.write(folder, name)
    return Reproduced(folder, table)


def _preset_note(models: Sequence[str], preset: Any) -> list[str]:
    """A note that names the preset of the paper's models."""
    if not models:
        return []
    name = preset or OUR_DEFAULTS
    what = "our defaults" if name == OUR_DEFAULTS else f"properties/preset/{name}"
    other = f"; --preset={OUR_DEFAULTS} takes our defaults" if name == PAPER else ""
    return [f"{', '.join(models)}: --preset={name}, {what}{other}."]


def _values(row: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a row; given values override its defaults."""
    defaults = row.get("defaults") or {}
    return {
        **{key: given.get(key, value) for key, value in defaults.items()},
        **(row.get("params") or {}),
    }


def _is_prepared(entry: Entry, dataset: str, how: Mapping[str, Any]) -> bool:
    config = Config(
        entry.model,
        dataset,
        how.get("config_files", ()),
        {**how.get("overrides", {}), **entry.values, "preset": None},
        how.get("allow_unknown", False),
    )
    return (Path(config["data_path"]) / f"{dataset}.inter").is_file()


def _noise(paper: Mapping[str, Any]) -> list[tuple[str, float]]:
    asked = [column["noise"] for column in paper["columns"] if "noise" in column]
    return list(dict.fromkeys((noise["kind"], noise["ratio"]) for noise in asked))


def _draw(paper: Mapping[str, Any], dataset: str, outcome: Outcome, figures: str) -> None:
    """Draw the sensitivity figure if the rows are its points: one picture per task.

    Each picture shows the first column of its task.
    """
    columns: dict[str, int] = {}
    for i, column in enumerate(paper["columns"]):
        if "metric" in column:
            columns.setdefault(column.get("task", own_task(paper)), i)
    points = [(row, name, x) for row in paper["rows"] for name, x in row.get("at", {}).items()]
    for task, i in columns.items():
        values: dict[str, dict[float, float]] = {}
        theirs: dict[str, dict[float, float | None]] = {}
        for row, name, x in points:
            per_seed = measured(paper, row["label"], outcome)[i]
            if per_seed:
                values.setdefault(name, {})[x] = statistics.fmean(per_seed)
                theirs.setdefault(name, {})[x] = printed(row, dataset, i)
        if values:
            from recbole_intent.plotting.plots import sensitivity

            is_other = task != NEXT_ITEM
            path = outcome.folder / ("sensitivity" + f"-{task}" * is_other + f".{figures}")
            metric = paper["columns"][i]["metric"] + f", {task} task" * is_other
            comparison = outcome.comparison
            title = f"{dataset}, seeds {', '.join(map(str, comparison.seeds))}"
            sensitivity(values, theirs, metric, title).save(path)
