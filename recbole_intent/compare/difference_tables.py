"""The tables of differences between models: tests, intervals, single seeds, wins."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.definitions import sign_of
from recbole_intent.evaluation.significance import SEEDS, USERS, PairedTest, stars
from recbole_intent.plotting.tables import NOTHING, Cell, Table, signed

STARS = "* p ≤ .05, ** p ≤ .01, *** p ≤ .001"
P_NOTE = (
    "the larger p of two-sided paired t-tests over users and, with several seeds, over seeds, "
    "corrected after Holm over the table"
)


def marks_of(tests: Sequence[PairedTest]) -> dict[tuple[str, str], tuple[str, float, float]]:
    """(label, metric) -> the stars of a difference, the difference, and the p behind the stars.

    A difference must hold for other users and for other trainings, so the larger p of both tests
    counts, and one seed earns no star. Models whose seeds do not differ, because they do not
    learn, are tested over users alone.
    """
    over = {(t.label, t.metric): t.holm_t for t in tests if t.unit == SEEDS}
    repeated = {(t.label, t.metric) for t in tests if t.unit not in (USERS, SEEDS)}
    marks = {}
    for test in tests:
        if test.unit == USERS:
            key = (test.label, test.metric)
            p = max(test.holm_t, over.get(key, 0.0))
            marks[key] = (stars(p) if key in repeated else "", test.difference, p)
    return marks


def power_notes(tests: Sequence[PairedTest]) -> list[str]:
    """What the seeds of a table could show at all."""
    if not any(test.unit not in (USERS, SEEDS) for test in tests):
        return ["One seed: what another training would give is unknown, so nothing is starred."]
    over = [test for test in tests if test.unit == SEEDS and test.smallest is not None]
    if not over:
        return []
    # By metric, the opponent is the same for all models.
    parts = []
    for metric in dict.fromkeys(test.metric for test in over):
        sizes = [test.smallest for test in over if test.metric == metric and test.smallest]
        if sizes:
            low, high = min(sizes), max(sizes)
            parts.append(f"{metric} {low:.4f}" + (f" to {high:.4f}" if high > low else ""))
    return [
        f"Power: with {max(test.n for test in over)} seeds, a test over seeds shows in four of "
        f"five cases a difference of at least: {'; '.join(parts)}."
    ]


def significance_table(tests: Sequence[PairedTest], title: str) -> Table:
    """Difference, interval and corrected p of each model and metric against its opponent.

    Args:
        tests: from one call of `paired_tests`. The table shows those over users (averaged over
            seeds) and over seeds as samples; the records hold all.
        title: title of the table.
    """
    seeds = {(test.label, test.metric): test for test in tests if test.unit == SEEDS}
    marks = marks_of(tests)
    header = ["model", "against", "metric", "difference", "95 % interval", "p (t)", "p (Wilcoxon)"]
    if seeds:
        header += ["seeds: p (t)", "seeds: p (Wilcoxon)"]
    rows: list[list[str | Cell]] = []
    for test in tests:
        if test.unit != USERS:
            continue
        over = seeds.get((test.label, test.metric))
        low, high = (over or test).interval
        mark, difference, _ = marks[test.label, test.metric]
        rows.append(
            [
                *(test.label, test.against, test.metric),
                Cell(f"{signed(difference)}{mark}", bold=bool(mark) and test.is_better),
                f"{signed(low)} … {signed(high)}",
                *_both(test),
                *(_both(over) if seeds else ()),
            ]
        )
    return Table(title, header, rows, [_record(test) for test in tests], _significance_notes(tests))


def seed_table(tests: Sequence[PairedTest], title: str) -> Table:
    """As `significance_table`, over the users of each single seed."""
    shown = [test for test in tests if test.unit not in (USERS, SEEDS)]
    rows = [
        [
            *(test.label, test.against, test.metric, test.unit.removeprefix("seed ")),
            f"{signed(test.difference)}{stars(test.holm_t)}",
            *_both(test),
        ]
        for test in shown
    ]
    header = ["model", "against", "metric", "seed", "difference", "p (t)", "p (Wilcoxon)"]
    note = "Users are the samples; corrected after Holm over the rows of the same seed."
    return Table(title, header, rows, [_record(test) for test in shown], [note])


def _both(test: PairedTest | None) -> list[str]:
    """The corrected p of the t-test and of Wilcoxon's test."""
    return [p_text(test.holm_t), p_text(test.holm_wilcoxon)] if test else [NOTHING, NOTHING]


def p_text(p: float) -> str:
    """Format a p-value as `.0312` or `<.0001`."""
    return "<.0001" if p < 1e-4 else f"{p:.4f}".removeprefix("0")


def _record(test: PairedTest) -> dict[str, Any]:
    low, high = test.interval
    return {
        "model": test.label,
        "against": test.against,
        "metric": test.metric,
        "unit": test.unit,
        "n": test.n,
        "difference": test.difference,
        "low": low,
        "high": high,
        "p t": test.p_t,
        "p wilcoxon": test.p_wilcoxon,
        "p t holm": test.holm_t,
        "p wilcoxon holm": test.holm_wilcoxon,
        "smallest": test.smallest,
    }


def _significance_notes(tests: Sequence[PairedTest]) -> list[str]:
    n = next(test.n for test in tests if test.unit == USERS)
    family = sum(test.unit == USERS for test in tests)
    notes = [
        f"Samples: {n:,} users, each one's value averaged over the seeds. Two-sided p of the "
        f"paired t-test and of Wilcoxon's signed-rank test, corrected after Holm over the {family} "
        f"rows; {STARS} (t; the larger p of users and seeds). Interval: bootstrap over users, "
        "or over seeds and users together where there are several seeds; not corrected. The sign "
        "is that of model minus opponent: bold where significantly better."
    ]
    if any(test.unit == SEEDS for test in tests):
        notes.append(
            "seeds: each seed's mean is one sample, which tells of another training and not of "
            "other users; few seeds can hardly be significant."
        )
    return notes + power_notes(tests)


def wins_table(comparison: Comparison, values: Mapping[str, np.ndarray], reference: str) -> Table:
    """Count the users for whom the reference is better, equal or worse than each other model.

    Args:
        comparison: the runs.
        values: label -> (U, M) values per user, averaged over seeds.
        reference: a label of `values`.
    """
    rows, records = [], []
    for label in values:
        if label == reference:
            continue
        row = [label]
        for i, metric in enumerate(comparison.tested):
            difference = sign_of(metric) * (values[reference][:, i] - values[label][:, i])
            wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
            ties = len(difference) - wins - losses
            row.append(f"{wins:,} / {ties:,} / {losses:,}")
            records.append(
                {"model": label, "metric": metric, "wins": wins, "ties": ties, "losses": losses}
            )
        rows.append(row)
    return Table(
        comparison.titled(f"Users for whom {reference} wins / ties / loses"),
        ["against", *comparison.tested],
        rows,
        records,
    )
