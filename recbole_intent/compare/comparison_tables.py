"""The tables of a comparison: metrics, gains, noise, cost, runs."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_intent.compare.difference_tables import (
    P_NOTE,
    STARS,
    marks_of,
    p_text,
    power_notes,
)
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.definitions import sign_of
from recbole_intent.evaluation.significance import PairedTest
from recbole_intent.plotting.tables import NOTHING, Table, marked_best
from recbole_intent.plotting.tables import signed_percent as percent


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
        f"{label}, seed{'s' * (len(which) > 1)} {', '.join(which)}, failed: {reason.rstrip('.')}."
        for (label, reason), which in seeds.items()
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
    means, marks = mean_test(comparison), marks_of(tests)
    records: list[dict[str, Any]] = []
    columns: dict[str, list[str]] = {metric: [] for metric in comparison.metrics}
    for label in comparison.labels:
        results = results_of(comparison, label)
        record: dict[str, Any] = {"model": label, "seeds": len(results)}
        for metric, texts in columns.items():
            of_seeds = [result["test"][metric] for result in results]
            mark, difference, _ = marks.get((label, metric), ("", 0.0, 1.0))
            texts.append(mean_sd(of_seeds) + mark * (sign_of(metric) * difference > 0))
            record[metric] = statistics.fmean(of_seeds) if of_seeds else None
            record[f"{metric} sd"] = statistics.stdev(of_seeds) if len(of_seeds) > 1 else None
            record[f"{metric} gain"] = _gain(means, best, label, metric)
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
        notes.append(f"Stars: better than the best baseline of the column ({STARS}; {P_NOTE}).")
        notes += power_notes(tests)
    notes += _metric_notes(comparison)
    approximations = {
        (label, note)
        for (label, _), result in comparison.results.items()
        for note in result["approximations"]
    }
    notes += [f"{label}, approximation: {note}." for label, note in sorted(approximations)]
    cells = [
        marked_best([record[metric] for record in records], texts, bigger=sign_of(metric) > 0)
        for metric, texts in columns.items()
    ]
    n_runs = [str(record["seeds"]) for record in records]
    return Table(
        comparison.titled(f"Test metrics on {comparison.dataset}"),
        ["model", "seeds", *columns],
        list(zip(comparison.labels, n_runs, *cells, strict=True)),
        records,
        notes + failure_notes(comparison),
    )


def _gain(
    means: Mapping[str, Mapping[str, float]], best: Mapping[str, str], label: str, metric: str
) -> float | None:
    """Relative gain over the best baseline, above 0 if better; None without one to compare with."""
    if label not in means or metric not in best:
        return None
    base = means[best[metric]][metric]
    return sign_of(metric) * (means[label][metric] / base - 1) if base else None


def _metric_notes(comparison: Comparison) -> list[str]:
    """What a reader must know of metrics that are not like recall."""
    lower = [metric for metric in comparison.metrics if sign_of(metric) < 0]
    whole = [metric for metric in comparison.metrics if metric not in comparison.tested]
    notes = []
    if lower:
        notes.append(f"Lower is better, and a gain is a fall: {', '.join(lower)}.")
    if whole:
        notes.append(f"Of all lists together, so not tested over users: {', '.join(whole)}.")
    kinds = {label in comparison.by_target for label, _ in comparison.results}
    counted = ("averagepopularity", "tailpercentage")
    if len(kinds) > 1 and any(metric.startswith(counted) for metric in comparison.metrics):
        notes.append(
            "Popularity as RecBole counts it: for sequential models without the first interaction "
            "of each user."
        )
    return notes


def deviation_notes(comparison: Comparison) -> list[str]:
    """The models' deviations from their papers, one sentence per distinct set of deviations."""
    labels: dict[str, list[str]] = {}
    for label in comparison.labels:
        deviations = (
            line for r in results_of(comparison, label) for line in r.get("deviations") or ()
        )
        if lines := "; ".join(dict.fromkeys(deviations)):
            labels.setdefault(lines, []).append(label)
    return [
        f"{', '.join(sharing)}: not as in the paper: {lines}." for lines, sharing in labels.items()
    ]


def gain_table(
    comparison: Comparison, best: Mapping[str, str], tests: Sequence[PairedTest]
) -> Table:
    """Relative gain of each model over the best baseline of each metric, with the p of its test.

    Args:
        comparison: the runs.
        best: metric -> its best baseline.
        tests: tests of all models against the best baselines.
    """
    means, marks = mean_test(comparison), marks_of(tests)
    rows, records = [], []
    for label in means:
        row, record = [label], dict[str, Any](model=label)
        for metric in comparison.metrics:
            is_best = best.get(metric) == label
            gain = None if is_best else _gain(means, best, label, metric)
            *_, p = marks.get((label, metric), (None,))
            text = NOTHING if gain is None else percent(gain)
            row.append(text if gain is None or p is None else f"{text} (p {p_text(p)})")
            record |= {metric: gain, f"{metric} p": None if gain is None else p}
        rows.append(row)
        records.append(record)
    if best:
        rows.append(["best baseline", *(best[metric] for metric in comparison.metrics)])
    return Table(
        comparison.titled("Gain over the best baseline"),
        ["model", *comparison.metrics],
        rows,
        records,
        [
            "The best baseline of a metric has the best mean test value of all models but "
            f"{comparison.reference}.",
            *([f"In brackets {P_NOTE}."] if tests else []),
            *_metric_notes(comparison),
        ],
    )


def noise_table(comparison: Comparison, metric: str, notes: Sequence[str]) -> Table:
    """One test metric under noise in the test histories, with the loss relative to clean ones.

    Args:
        comparison: a comparison with `noise`.
        metric: the metric in the table; the records hold all metrics.
        notes: notes on failed evaluations.
    """
    conditions = list(dict.fromkeys(c for by_noise in comparison.noise.values() for c in by_noise))
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
    rows, records = [], []
    for label in comparison.labels:
        results = results_of(comparison, label)
        if not results:
            continue
        minutes = [result["seconds"] / 60 for result in results]
        before = [result["pretraining_seconds"] / 60 for result in results]
        record = {
            "model": label,
            "minutes": statistics.fmean(minutes),
            "pre-training minutes": statistics.fmean(before),
            "peak memory MiB": max(result["peak_memory_mib"] for result in results),
            "parameters": results[0]["parameters"],
            "inference seconds per 1000 users": comparison.inference_seconds.get(label),
        }
        *_, memory, parameters, inference = record.values()
        rows.append(
            [
                label,
                ", ".join(f"{result['best_epoch']}/{result['epochs']}" for result in results),
                mean_sd(minutes, 1),
                mean_sd(before, 1),
                f"{memory:,.0f}",
                f"{parameters:,}",
                NOTHING if inference is None else f"{inference:.3f}",
            ]
        )
        records.append(record)
    return Table(
        "Cost",
        "model,best epoch,minutes,pre-training,peak MiB,parameters,s / 1,000 users".split(",", 6),
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
            of_run = result or dict.fromkeys(("best_epoch", "epochs", "commit"))
            pair = [result and result[part][metric] for part in ("valid", "test")]
            texts = [NOTHING] * 3
            if result:
                texts = [f"{result['best_epoch']}/{result['epochs']}", *(f"{v:.4f}" for v in pair)]
            rows.append([label, str(seed), *texts, str(folder) if result else f"failed: {reason}"])
            records.append(
                {
                    "model": label,
                    "seed": seed,
                    "best epoch": of_run["best_epoch"],
                    "epochs": of_run["epochs"],
                    f"valid {metric}": pair[0],
                    f"test {metric}": pair[1],
                    "folder": folder,
                    "commit": of_run["commit"],
                    "failure": reason,
                }
            )
    header = ["model", "seed", "best epoch", f"valid {metric}", f"test {metric}", "folder"]
    return Table("Runs", header, rows, records)
