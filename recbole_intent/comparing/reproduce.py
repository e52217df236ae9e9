"""A table or figure of a paper, filled with our numbers beside the printed ones.

A YAML file in `properties/reproduce/` says all of it, so that another table needs no code:

    paper: title of the paper
    table: Table 2
    reference: label of the row that is tested against the others
    datasets: {amazon-toys: Toys}         # ours: the paper's name
    columns:
      - {name: Recall@10, metric: recall@10}
      - {name: noisy, metric: recall@10, noise: {kind: replace, ratio: 0.2}}
      - {name: change, change: [Recall@10, noisy]}
      - {name: "time, s", time: inference}  # to rank all test targets
    rows:
      - label: IGR-SR
        model: IGRSR                      # one that the registry lacks is said to be missing
        params: {n_prefix: 8}
        at: {n_prefix: 8}                 # a point of a line in the picture of the figure
        printed: {amazon-toys: [0.0802, 0.0719, -0.104]}   # a value a column; ~ where none is
    notes: [sentences]
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.compare import Outcome, compare
from recbole_intent.comparing.entries import Entry, refuse_protocol
from recbole_intent.comparing.request import Request
from recbole_intent.config import Config, read_yaml
from recbole_intent.data.download import unprepared_message
from recbole_intent.errors import UserError
from recbole_intent.evaluation.comparison_tables import failure_notes, mean_sd
from recbole_intent.evaluation.tables import NOTHING, Cell, Table, marked_best, signed_percent
from recbole_intent.paths import properties_dir
from recbole_intent.registry import model_names

_PARTS = ("paper", "table", "reference", "datasets", "columns", "rows")


@dataclass(frozen=True)
class Reproduced:
    """A paper's table with our numbers.

    Attributes:
        folder: with the table as Markdown, CSV and LaTeX, and a folder for each dataset's whole
            comparison.
        table: ours beside the printed.
    """

    folder: Path
    table: Table


def table_names() -> list[str]:
    """The tables that `--reproduce` knows."""
    return sorted(path.stem for path in (properties_dir() / "reproduce").glob("*.yaml"))


def read_paper_table(name: str) -> dict[str, Any]:
    """The description of a paper's table.

    Raises:
        UserError: no such table, or a file that lacks a part.
    """
    if name not in table_names():
        raise UserError(f"--reproduce={name}: no such table; known are {', '.join(table_names())}")
    path = properties_dir() / "reproduce" / f"{name}.yaml"
    paper = read_yaml(path)
    for part in _PARTS:
        if part not in paper:
            raise UserError(f"{path}: {part} is missing")
    for row in paper["rows"]:
        refuse_protocol(row.get("params") or {}, f"{path}: {row['label']}")
        for dataset, printed in (row.get("printed") or {}).items():
            if dataset not in paper["datasets"] or len(printed) != len(paper["columns"]):
                raise UserError(
                    f"{path}: {row['label']}: printed: {dataset}: expected a dataset of the file "
                    f"and {len(paper['columns'])} numbers"
                )
    return paper


def reproduce(name: str, datasets: Sequence[str], how: Mapping[str, Any]) -> Reproduced:
    """Fill a paper's table: every cell whose dataset is prepared and whose model is here.

    Args:
        name: of the table, such as `igrsr-table2`.
        datasets: some of the table's; all of them where empty.
        how: further arguments of `compare.Request`: seeds, workers, overrides ….

    Raises:
        UserError: unknown table or dataset, or as `compare`.
    """
    paper = read_paper_table(name)
    for dataset in datasets:
        if dataset not in paper["datasets"]:
            known = ", ".join(paper["datasets"])
            raise UserError(f"--datasets: {dataset} is not in {paper['table']} (which has {known})")
    entries = [
        Entry(row["label"], row["model"], row.get("params") or {})
        for row in paper["rows"]
        if row["model"] in model_names()
    ]
    how = dict(how)
    root = how.pop("output", None)
    saved = how.get("overrides", {}).get("checkpoint_dir", "saved")
    folder = Path(root) if root else Path(saved) / f"reproduce-{name}"
    outcomes: dict[str, Outcome | None] = {}
    notes = [*paper.get("notes", ())]
    labels = [entry.label for entry in entries]
    for dataset in datasets or paper["datasets"]:
        outcomes[dataset] = None
        if not entries or not _is_prepared(entries[0], dataset, how):
            notes.append(f"{unprepared_message(dataset)}.")
            continue
        outcomes[dataset] = compare(
            Request(
                dataset,
                entries,
                reference=paper["reference"] if paper["reference"] in labels else None,
                noise=_noise(paper),
                output=str(folder / dataset),
                **how,
            )
        )
        _draw(paper, dataset, outcomes[dataset])
    table = paper_table(paper, outcomes, notes)
    table.write(folder, name)
    return Reproduced(folder, table)


def _is_prepared(entry: Entry, dataset: str, how: Mapping[str, Any]) -> bool:
    config = Config(
        entry.model,
        dataset,
        how.get("config_files", ()),
        {**how.get("overrides", {}), **entry.values},
        how.get("allow_unknown", False),
    )
    return (Path(config["data_path"]) / f"{dataset}.inter").is_file()


def _noise(paper: Mapping[str, Any]) -> list[tuple[str, float]]:
    asked = [column["noise"] for column in paper["columns"] if "noise" in column]
    return list(dict.fromkeys((noise["kind"], noise["ratio"]) for noise in asked))


def paper_table(
    paper: Mapping[str, Any], outcomes: Mapping[str, Outcome | None], notes: Sequence[str]
) -> Table:
    """Ours beside the printed, a line for each dataset and row.

    Args:
        paper: as `read_paper_table`.
        outcomes: dataset -> its comparison; None where it is not prepared.
        notes: sentences below.
    """
    rows, records, failures = [], [], []
    for dataset, outcome in outcomes.items():
        pairs: list[list[str | Cell]] = []
        measured = [_measured(paper, row["label"], outcome) for row in paper["rows"]]
        for i, column in enumerate(paper["columns"]):
            texts = [
                _text(column, values[i]) if values[i] else _why_not(row, outcome)
                for row, values in zip(paper["rows"], measured, strict=True)
            ]
            means = [statistics.fmean(values[i]) if values[i] else None for values in measured]
            pairs.append(marked_best(means, texts, bigger="time" not in column))
            printed = [_printed(row, dataset, i) for row in paper["rows"]]
            pairs.append(
                [NOTHING if number is None else _text(column, [number]) for number in printed]
            )
            records += [
                {
                    "dataset": dataset,
                    "model": row["label"],
                    "column": column["name"],
                    "ours": mean,
                    "printed": number,
                }
                for row, mean, number in zip(paper["rows"], means, printed, strict=True)
            ]
        rows += [
            [f"{dataset} ({paper['datasets'][dataset]})", row["label"], *cells]
            for row, cells in zip(paper["rows"], zip(*pairs, strict=True), strict=True)
        ]
        if outcome:
            failures += [f"{dataset}: {note}" for note in failure_notes(outcome.comparison)]
    header = ["dataset", "model"]
    for column in paper["columns"]:
        header += [column["name"], "printed"]
    about = f"Ours beside the printed numbers of {paper['paper']}, {paper['table']}."
    title = f"{paper['table']} of {paper['paper']}"
    return Table(title, header, rows, records, [about, *notes, *failures])


def _measured(paper: Mapping[str, Any], label: str, outcome: Outcome | None) -> list[list[float]]:
    """The values of a row, a list over seeds for each column; empty where there is none."""
    if outcome is None:
        return [[] for _ in paper["columns"]]
    comparison, found = outcome.comparison, {}
    done = [seed for seed in comparison.seeds if (label, seed) in comparison.results]
    for column in paper["columns"]:
        if "change" in column:
            before, after = (found[name] for name in column["change"])
            pairs = zip(before, after, strict=False)
            found[column["name"]] = [new / old - 1 for old, new in pairs if old]
            continue
        if "time" in column:
            seconds = comparison.inference_seconds.get(label)
            n_users = len(np.unique(next(iter(comparison.ranks.values())).user))
            found[column["name"]] = [] if seconds is None else [seconds * n_users / 1000]
            continue
        tests = [comparison.results[label, seed]["test"] for seed in done]
        if "noise" in column:
            noise = (column["noise"]["kind"], column["noise"]["ratio"])
            noisy = (comparison.noise.get((label, seed)) for seed in done)
            tests = [found_there[noise] for found_there in noisy if found_there]
        found[column["name"]] = [
            test[column["metric"]] for test in tests if column["metric"] in test
        ]
    return list(found.values())


def _text(column: Mapping[str, Any], values: Sequence[float]) -> str:
    if "change" in column:
        return signed_percent(statistics.fmean(values))
    if "time" in column:
        return f"{statistics.fmean(values):,.2f}"
    return mean_sd(values)


def _why_not(row: Mapping[str, Any], outcome: Outcome | None) -> str:
    if row["model"] not in model_names():
        return "no such model here"
    if outcome is None:
        return "not prepared"
    is_done = any(label == row["label"] for label, _ in outcome.comparison.results)
    return NOTHING if is_done else "failed"


def _printed(row: Mapping[str, Any], dataset: str, i: int) -> float | None:
    numbers = (row.get("printed") or {}).get(dataset)
    return numbers[i] if numbers else None


def _draw(paper: Mapping[str, Any], dataset: str, outcome: Outcome) -> None:
    """The lines of a figure of sensitivity, where rows are points of one."""
    points = [(row, name, x) for row in paper["rows"] for name, x in row.get("at", {}).items()]
    values: dict[str, dict[float, float]] = {}
    printed: dict[str, dict[float, float | None]] = {}
    for row, name, x in points:
        found = _measured(paper, row["label"], outcome)[0]
        if found:
            values.setdefault(name, {})[x] = statistics.fmean(found)
            printed.setdefault(name, {})[x] = _printed(row, dataset, 0)
    if values:
        from recbole_intent.evaluation.plots import sensitivity

        metric = paper["columns"][0]["metric"]
        sensitivity(values, printed, outcome.folder / "sensitivity.png", metric)
