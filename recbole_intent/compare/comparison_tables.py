"""The tables of a comparison: metrics, gains, significance, wins, noise, cost, runs."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.significance import SEEDS, USERS, PairedTest, stars
from recbole_intent.plotting.tables import NOTHING, Cell, Table, marked_best, signed
from recbole_intent.plotting.tables import signed_percent as percent

_STARS = "* p ≤ .05, ** p ≤ .01, *** p ≤ .001"


def mean_sd(values: Sequence[float], digits: int = 4) -> str:
    """`mean ± sd` over seeds; only the mean for one seed, a dash for none."""
    if not values:
        return NOTHING
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"


def results_of(comparison: Comparison, label: str) -> list[dict[str, Any]]:
    """The results of a model's successful runs, in the order of the seeds."""
    runs = comparison.results
    return [runs[label, seed] for seed in comparison.seeds if (label, seed) in runs]


def mean_test(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Label -> mean test value of each metric over its seeds; only labels with a result."""
    means = {}
    for label in comparison.labels:
        results = results_of(comparison, label)
        if results:
            means[label] = {
                metric: statistics.fmean(result["test"][metric] for result in results)
                for metric in comparison.metrics
            }
    return means


def failure_notes(comparison: Comparison) -> list[str]:
    """One sentence for each reason why runs failed."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for (label, seed), reason in comparison.failures.items():
        seeds.setdefault((label, reason), []).append(str(seed))
    return [
        f"{label}, seed{'s' * (len(found) > 1)} {', '.join(found)}, failed: {reason.rstrip('.')}."
        for (label, reason), found in seeds.items()
    ]


def _spread_note(comparison: Comparison) -> str:
    n = len(comparison.seeds)
    return f"Mean ± sd over {n} seeds." if n > 1 else f"Seed {comparison.seeds[0]} alone."


def metric_table(
    comparison: Comparison, best: Mapping[str, str], tests: Sequence[PairedTest]
) -> Table:
    """Test metrics, one row per model, with best and second marked and significance stars.

    Args:
        comparison: the runs.
        best: metric -> its best baseline.
        tests: tests of all models against the best baselines; they give the stars.
    """
    means = mean_test(comparison)
    better = {key: mark for key, (mark, difference) in _marks(tests).items() if difference > 0}
    columns = []
    for metric in comparison.metrics:
        texts = [
            mean_sd([result["test"][metric] for result in results_of(comparison, label)])
            + better.get((label, metric), "")
            for label in comparison.labels
        ]
        values = [means.get(label, {}).get(metric) for label in comparison.labels]
        columns.append(marked_best(values, texts))
    n_runs = [str(len(results_of(comparison, label))) for label in comparison.labels]
    records = []
    for label in comparison.labels:
        record: dict[str, Any] = {"model": label, "seeds": len(results_of(comparison, label))}
        for metric in comparison.metrics:
            of_seeds = [result["test"][metric] for result in results_of(comparison, label)]
            record[metric] = statistics.fmean(of_seeds) if of_seeds else None
            record[f"{metric} sd"] = statistics.stdev(of_seeds) if len(of_seeds) > 1 else None
            is_gain = label in means and metric in best
            base = means[best[metric]][metric] if is_gain else 0.0
            record[f"{metric} gain"] = means[label][metric] / base - 1 if base else None
        records.append(record)
    notes = [_spread_note(comparison)]
    if comparison.candidates:
        drawn = comparison.candidates
        notes.append(
            f"Direct task: each user's target is ranked among itself and {drawn['negatives']} "
            f"items outside the user's full history (in validation: outside training and "
            f"validation), the same for every model (drawn by seed "
            f"{drawn['seed']}, hash {drawn['hash'][:10]})."
        )
    if tests:
        notes.append(
            f"Stars: better than the best baseline of the column ({_STARS}; paired t-tests over "
            "users and over seeds, two-sided, corrected after Holm over the table: the larger p "
            "of the two counts)."
        )
        notes += _power_notes(tests)
    approximations = {
        (label, note)
        for (label, _), result in comparison.results.items()
        for note in result["approximations"]
    }
    notes += [f"{label}, approximation: {note}." for label, note in sorted(approximations)]
    return Table(
        comparison.titled(f"Test metrics on {comparison.dataset}"),
        ["model", "seeds", *comparison.metrics],
        list(zip(comparison.labels, n_runs, *columns, strict=True)),
        records,
        notes + failure_notes(comparison),
    )


def _marks(tests: Sequence[PairedTest]) -> dict[tuple[str, str], tuple[str, float]]:
    """(label, metric) -> the stars of a difference, and the difference.

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
            p = max(test.holm_t, over.get(key, 0.0)) if key in repeated else 1.0
            marks[key] = (stars(p), test.difference)
    return marks


def _power_notes(tests: Sequence[PairedTest]) -> list[str]:
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


def deviation_notes(comparison: Comparison) -> list[str]:
    """The models' deviations from their papers, one sentence per distinct set of deviations."""
    labels: dict[str, list[str]] = {}
    for label in comparison.labels:
        found = (line for r in results_of(comparison, label) for line in r.get("deviations") or ())
        if lines := "; ".join(dict.fromkeys(found)):
            labels.setdefault(lines, []).append(label)
    return [
        f"{', '.join(sharing)}: not as in the paper: {lines}." for lines, sharing in labels.items()
    ]


def gain_table(comparison: Comparison, best: Mapping[str, str]) -> Table:
    """Relative gain of each model over the best baseline of each metric."""
    means = mean_test(comparison)
    rows, records = [], []
    for label in means:
        gains = {}
        for metric in comparison.metrics:
            base = means[best[metric]][metric] if best.get(metric, label) != label else 0.0
            gains[metric] = means[label][metric] / base - 1 if base else None
        rows.append([label, *(NOTHING if g is None else percent(g) for g in gains.values())])
        records.append({"model": label, **gains})
    if best:
        rows.append(["best baseline", *(best[metric] for metric in comparison.metrics)])
    return Table(
        comparison.titled("Gain over the best baseline"),
        ["model", *comparison.metrics],
        rows,
        records,
        [
            "The best baseline of a metric has the highest mean test value of all models but "
            f"{comparison.reference}."
        ],
    )


def significance_table(tests: Sequence[PairedTest], title: str) -> Table:
    """Difference, interval and corrected p of each model and metric against its opponent.

    Args:
        tests: from one call of `paired_tests`. The table shows those over users (averaged over
            seeds) and over seeds as samples; the records hold all.
        title: title of the table.
    """
    seeds = {(test.label, test.metric): test for test in tests if test.unit == SEEDS}
    shown = [test for test in tests if test.unit == USERS]
    marks = _marks(tests)
    header = ["model", "against", "metric", "difference", "95 % interval", "p (t)", "p (Wilcoxon)"]
    if seeds:
        header += ["seeds: p (t)", "seeds: p (Wilcoxon)"]
    rows = []
    for test in shown:
        over = seeds.get((test.label, test.metric))
        low, high = (over or test).interval
        mark, _ = marks[test.label, test.metric]
        row: list[str | Cell] = [
            test.label,
            test.against,
            test.metric,
            Cell(f"{signed(test.difference)}{mark}", bold=bool(mark) and test.difference > 0),
            f"{signed(low)} … {signed(high)}",
            _p(test.holm_t),
            _p(test.holm_wilcoxon),
        ]
        if seeds:
            row += [_p(over.holm_t), _p(over.holm_wilcoxon)] if over else [NOTHING, NOTHING]
        rows.append(row)
    return Table(title, header, rows, [_record(test) for test in tests], _significance_notes(tests))


def seed_table(tests: Sequence[PairedTest], title: str) -> Table:
    """As `significance_table`, over the users of each single seed."""
    shown = [test for test in tests if test.unit not in (USERS, SEEDS)]
    rows = [
        [
            test.label,
            test.against,
            test.metric,
            test.unit.removeprefix("seed "),
            f"{signed(test.difference)}{stars(test.holm_t)}",
            _p(test.holm_t),
            _p(test.holm_wilcoxon),
        ]
        for test in shown
    ]
    header = ["model", "against", "metric", "seed", "difference", "p (t)", "p (Wilcoxon)"]
    note = "Users are the samples; corrected after Holm over the rows of the same seed."
    return Table(title, header, rows, [_record(test) for test in shown], [note])


def _p(p: float) -> str:
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
        f"rows; {_STARS} (t; the larger p of users and seeds). Interval: bootstrap over users, "
        "or over seeds and users together where there are several seeds; not corrected. The sign "
        "is that of model minus opponent: bold where significantly better."
    ]
    if any(test.unit == SEEDS for test in tests):
        notes.append(
            "seeds: each seed's mean is one sample, which tells of another training and not of "
            "other users; few seeds can hardly be significant."
        )
    return notes + _power_notes(tests)


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
        for i, metric in enumerate(comparison.metrics):
            difference = values[reference][:, i] - values[label][:, i]
            wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
            ties = len(difference) - wins - losses
            row.append(f"{wins:,} / {ties:,} / {losses:,}")
            records.append(
                {"model": label, "metric": metric, "wins": wins, "ties": ties, "losses": losses}
            )
        rows.append(row)
    return Table(
        comparison.titled(f"Users for whom {reference} wins / ties / loses"),
        ["against", *comparison.metrics],
        rows,
        records,
    )


def noise_table(comparison: Comparison, metric: str, notes: Sequence[str]) -> Table:
    """One test metric under noise in the test histories, with the loss relative to clean ones.

    Args:
        comparison: a comparison with `noise`.
        metric: the metric in the table; the records hold all metrics.
        notes: notes on failed evaluations.
    """
    conditions = list(dict.fromkeys(c for found in comparison.noise.values() for c in found))
    rows, records = [], []
    for label in comparison.labels:
        done = [seed for seed in comparison.seeds if (label, seed) in comparison.noise]
        clean = [comparison.results[label, seed]["test"][metric] for seed in done]
        row = [label, mean_sd(clean)]
        for kind, ratio in conditions:
            noisy = [comparison.noise[label, seed][kind, ratio][metric] for seed in done]
            text = mean_sd(noisy)
            if noisy and any(clean):
                change = statistics.fmean(noisy) / statistics.fmean(clean) - 1
                text += f" ({percent(change)})"
            row.append(text)
        rows.append(row)
        records += [
            {
                "model": label,
                "seed": seed,
                "kind": kind,
                "ratio": ratio,
                **comparison.noise[label, seed][kind, ratio],
            }
            for seed in done
            for kind, ratio in conditions
        ]
    header = ["model", "clean", *(f"{kind} {ratio:.0%}" for kind, ratio in conditions)]
    return Table(
        f"{metric} with noise in the test histories",
        header,
        rows,
        records,
        ["In brackets the change against clean histories.", *notes],
    )


def cost_table(comparison: Comparison) -> Table:
    """Validation metric and cost: time, memory, parameters, inference."""
    header = [
        "model",
        "best epoch",
        "minutes",
        "pre-training",
        "peak MiB",
        "parameters",
        "s / 1,000 users",
    ]
    rows, records = [], []
    for label in comparison.labels:
        results = results_of(comparison, label)
        if not results:
            continue
        inference = comparison.inference_seconds.get(label)
        minutes = [result["seconds"] / 60 for result in results]
        before = [result["pretraining_seconds"] / 60 for result in results]
        memory = max(result["peak_memory_mib"] for result in results)
        rows.append(
            [
                label,
                ", ".join(f"{result['best_epoch']}/{result['epochs']}" for result in results),
                mean_sd(minutes, 1),
                mean_sd(before, 1),
                f"{memory:,.0f}",
                f"{results[0]['parameters']:,}",
                NOTHING if inference is None else f"{inference:.3f}",
            ]
        )
        records.append(
            {
                "model": label,
                "minutes": statistics.fmean(minutes),
                "pre-training minutes": statistics.fmean(before),
                "peak memory MiB": memory,
                "parameters": results[0]["parameters"],
                "inference seconds per 1000 users": inference,
            }
        )
    return Table(
        "Cost",
        header,
        rows,
        records,
        [
            "minutes: all epochs with their validation, without the pre-training, which runs of a "
            "seed may share. s / 1,000 users: ranking of "
            f"{comparison.ranked}, measured alone after training."
        ],
    )


def runs_table(
    comparison: Comparison, metric: str, folders: Mapping[tuple[str, int], Path]
) -> Table:
    """Every run: seed, epoch, validation and test metric, folder; or why it failed.

    Args:
        comparison: the runs.
        metric: the metric that selected the epoch.
        folders: folders of all runs.
    """
    rows, records = [], []
    for label in comparison.labels:
        for seed in comparison.seeds:
            result, folder = comparison.results.get((label, seed)), folders[label, seed]
            reason = comparison.failures.get((label, seed))
            if result is None:
                rows.append([label, str(seed), NOTHING, NOTHING, NOTHING, f"failed: {reason}"])
            else:
                epoch = f"{result['best_epoch']}/{result['epochs']}"
                pair = [f"{result[part][metric]:.4f}" for part in ("valid", "test")]
                rows.append([label, str(seed), epoch, *pair, str(folder)])
            records.append(
                {
                    "model": label,
                    "seed": seed,
                    "best epoch": result and result["best_epoch"],
                    "epochs": result and result["epochs"],
                    f"valid {metric}": result and result["valid"][metric],
                    f"test {metric}": result and result["test"][metric],
                    "folder": folder,
                    "commit": result and result["commit"],
                    "failure": reason,
                }
            )
    header = ["model", "seed", "best epoch", f"valid {metric}", f"test {metric}", "folder"]
    return Table("Runs", header, rows, records)
