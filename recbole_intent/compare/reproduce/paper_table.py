"""Fill a paper's table with our numbers next to the printed ones, column by column."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recbole_intent.compare.compare import Outcome
from recbole_intent.compare.comparison_tables import failure_notes, mean_sd, results_of
from recbole_intent.compare.reproduce.paper_file import printed
from recbole_intent.config.registry import model_names
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.definitions import sign_of
from recbole_intent.plotting.tables import NOTHING, Cell, Table, marked_best, signed_percent


def paper_table(
    paper: Mapping[str, Any], outcomes: Mapping[str, Outcome | None], notes: Sequence[str]
) -> Table:
    """Build the table of our numbers next to the printed ones, one line per dataset and row.

    Args:
        paper: as returned by `read_paper_table`.
        outcomes: dataset -> its comparison; None if the dataset is not prepared.
        notes: sentences below the table.
    """
    rows, records, failures = [], [], []
    for dataset, outcome in outcomes.items():
        pairs: list[Sequence[str | Cell]] = []
        ours = [measured(paper, row["label"], outcome) for row in paper["rows"]]
        for i, column in enumerate(paper["columns"]):
            texts = [
                _text(column, values[i]) if values[i] else _why_not(row, column, outcome)
                for row, values in zip(paper["rows"], ours, strict=True)
            ]
            means = [statistics.fmean(values[i]) if values[i] else None for values in ours]
            is_cost = "time" in column or "memory" in column
            bigger = not is_cost and sign_of(column.get("metric", "")) > 0
            pairs.append(marked_best(means, texts, bigger))
            theirs = [printed(row, dataset, i) for row in paper["rows"]]
            pairs.append(
                [NOTHING if number is None else _text(column, [number]) for number in theirs]
            )
            records += [
                {
                    "dataset": dataset,
                    "model": row["label"],
                    "column": column["name"],
                    "ours": mean,
                    "printed": number,
                }
                for row, mean, number in zip(paper["rows"], means, theirs, strict=True)
            ]
        rows += [
            [f"{dataset} ({paper['datasets'][dataset]})", row["label"], *cells]
            for row, cells in zip(paper["rows"], zip(*pairs, strict=True), strict=True)
        ]
        if outcome:
            comparisons = (outcome.comparison, *outcome.others.values())
            distinct = dict.fromkeys(note for each in comparisons for note in failure_notes(each))
            failures += [f"{dataset}: {note}" for note in distinct]
    header = ["dataset", "model"]
    for column in paper["columns"]:
        header += [column["name"], "printed"]
    about = f"Ours beside the printed numbers of {paper['paper']}, {paper['table']}."
    title = f"{paper['table']} of {paper['paper']}"
    return Table(title, header, rows, records, [about, *notes, *failures])


def measured(paper: Mapping[str, Any], label: str, outcome: Outcome | None) -> list[list[float]]:
    """The values of a row: for each column, one value per seed; empty if there is none."""
    if outcome is None:
        return [[] for _ in paper["columns"]]
    by_column: dict[str, list[float]] = {}
    for column in paper["columns"]:
        if "change" in column:
            before, after = (by_column[name] for name in column["change"])
            pairs = zip(before, after, strict=False)
            by_column[column["name"]] = [new / old - 1 for old, new in pairs if old]
        else:
            by_column[column["name"]] = _values(column, label, _asked(column, outcome))
    return list(by_column.values())


def _asked(column: Mapping[str, Any], outcome: Outcome) -> Comparison:
    """The comparison on the task of a column."""
    return outcome.others.get(column.get("task", ""), outcome.comparison)


def _values(column: Mapping[str, Any], label: str, comparison: Comparison) -> list[float]:
    if column.get("time") == "inference":
        seconds = comparison.inference_seconds.get(label)
        n_users = len(np.unique(next(iter(comparison.ranks.values())).user))
        return [] if seconds is None else [seconds * n_users / 1000]
    results = results_of(comparison, label)
    if "time" in column:
        return [result["seconds"] / result["epochs"] for result in results]
    if "memory" in column:
        return [result["peak_memory_mib"] / 1024 for result in results]
    tests = [result["test"] for result in results]
    if "noise" in column:
        noise = (column["noise"]["kind"], column["noise"]["ratio"])
        noisy = (comparison.noise.get((label, seed)) for seed in comparison.seeds)
        tests = [by_noise[noise] for by_noise in noisy if by_noise]
    return [test[column["metric"]] for test in tests if column["metric"] in test]


def _text(column: Mapping[str, Any], values: Sequence[float]) -> str:
    if "change" in column:
        return signed_percent(statistics.fmean(values))
    if "metric" in column:
        return mean_sd(values)
    return f"{statistics.fmean(values):,.2f}"


def _why_not(row: Mapping[str, Any], column: Mapping[str, Any], outcome: Outcome | None) -> str:
    if row["model"] not in model_names():
        return "no such model here"
    if outcome is None:
        return "not prepared"
    is_done = any(label == row["label"] for label, _ in _asked(column, outcome).results)
    return NOTHING if is_done else "failed"
