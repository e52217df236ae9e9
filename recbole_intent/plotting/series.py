"""Data series of a comparison's pictures, shared by the figures and the page."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.evaluation.metrics import user_values
from recbole_intent.evaluation.significance import bootstrap_intervals

_MOST_GROUPS = 5
K = TypeVar("K")


@dataclass(frozen=True)
class Estimate:
    """A test metric of one model.

    Attributes:
        mean: mean over users of each user's mean over seeds.
        low: lower end of its 95 % bootstrap interval over users.
        high: upper end.
        by_seed: seed -> mean over users.
    """

    mean: float
    low: float
    high: float
    by_seed: dict[int, float]


@dataclass(frozen=True)
class Curve:
    """Validation during one run: three lists of equal length with one entry per evaluation.

    Attributes:
        epochs: 1, 2, ...
        minutes: since the start, pre-training included.
        values: values of the metric.
        best: index of the epoch whose weights were kept; None if it is not in the lists.
    """

    epochs: list[int]
    minutes: list[float]
    values: list[float]
    best: int | None


@dataclass(frozen=True)
class Grouped:
    """A metric in groups of test rows, of equal size except for ties.

    Attributes:
        title: the quantity that the rows are grouped by.
        names: names of the groups, such as `3–5`.
        users: number of users in each group.
        estimates: label -> one estimate per group.
    """

    title: str
    names: list[str]
    users: list[int]
    estimates: dict[str, list[Estimate]]


@dataclass(frozen=True)
class Noisy:
    """A metric under noise in the test histories.

    Attributes:
        kinds: kinds of noise, in alphabetical order.
        ratios: ascending, without 0.
        values: (label, kind) -> {ratio: estimate}; ratio 0.0 is without noise.
    """

    kinds: list[str]
    ratios: list[float]
    values: dict[tuple[str, str], dict[float, Estimate]]


def main_metric(comparison: Comparison) -> str:
    """The metric of pictures that show only one: `ndcg@10`, or the first of those to test."""
    return "ndcg@10" if "ndcg@10" in comparison.tested else comparison.tested[0]


def families(comparison: Comparison) -> dict[str, list[str]]:
    """The metrics to choose from, each with all metrics of its name, the main one first.

    Each is at the cut-off of the main one: `{"ndcg@10": ["ndcg@5", "ndcg@10"], "recall@10": …}`.
    """
    main = main_metric(comparison)
    cut = main.partition("@")[2]
    by_name: dict[str, list[str]] = {main.partition("@")[0]: []}
    for metric in comparison.tested:
        by_name.setdefault(metric.partition("@")[0], []).append(metric)
    return {
        f"{name}@{cut}" if f"{name}@{cut}" in metrics else metrics[0]: metrics
        for name, metrics in by_name.items()
    }


def done_labels(comparison: Comparison) -> list[str]:
    """The labels with at least one successful run, in their order."""
    done = {label for label, _ in comparison.results}
    return [label for label in comparison.labels if label in done]


def seeds_of(comparison: Comparison, label: str) -> list[int]:
    """The seeds of a model's successful runs."""
    return [seed for seed in comparison.seeds if (label, seed) in comparison.results]


def estimates(
    comparison: Comparison, metrics: Sequence[str], rows: np.ndarray | None = None
) -> dict[str, dict[str, Estimate]]:
    """Estimate metrics of every model that has a run, over all or some test rows.

    Args:
        comparison: a comparison with at least one run.
        metrics: such as `ndcg@10`.
        rows: (N,) bool, the rows of the ranks to use, at least one; None: all.

    Returns:
        Metric -> label -> estimate; all use the same resamples of users.
    """
    by_seed: dict[tuple[str, str], dict[int, np.ndarray]] = {
        (metric, label): {} for metric in metrics for label in done_labels(comparison)
    }
    for (label, seed), ranks in comparison.ranks.items():
        if rows is not None:
            ranks = ranks.take(rows)
        values = user_values(ranks, metrics, label in comparison.by_target)  # (U, M)
        for metric, column in zip(metrics, values.T, strict=True):
            by_seed[metric, label][seed] = column
    table: dict[str, dict[str, Estimate]] = {metric: {} for metric in metrics}
    for (metric, label), estimate in _estimated(by_seed).items():
        table[metric][label] = estimate
    return table


def _estimated(by_seed: Mapping[K, Mapping[int, np.ndarray]]) -> dict[K, Estimate]:
    """Estimates from seed -> (U,) values per user; all use the same resamples of users."""
    values = np.stack([np.mean([*seeds.values()], axis=0) for seeds in by_seed.values()], axis=1)
    return {
        key: Estimate(
            float(column.mean()),
            low,
            high,
            {seed: float(each.mean()) for seed, each in seeds.items()},
        )
        for (key, seeds), column, (low, high) in zip(
            by_seed.items(), values.T, bootstrap_intervals(values).tolist(), strict=True
        )
    }


def curve(result: Mapping[str, Any], metric: str) -> Curve:
    """The validation curve in the contents of a `result.json`."""
    spent = result["pretraining_seconds"] / 60
    epochs, minutes, values = [], [], []
    for record in result["history"]:
        spent += record["seconds"] / 60
        if "valid" in record:
            epochs.append(record["epoch"] + 1)
            minutes.append(spent)
            values.append(record["valid"][metric])
    best = epochs.index(result["best_epoch"]) if result["best_epoch"] in epochs else None
    return Curve(epochs, minutes, values, best)


def minutes(comparison: Comparison, label: str) -> float:
    """Minutes of training, pre-training included, averaged over seeds; above 0."""
    runs = [comparison.results[label, seed] for seed in seeds_of(comparison, label)]
    seconds = statistics.fmean(run["seconds"] + run["pretraining_seconds"] for run in runs)
    return max(seconds, 1e-3) / 60  # result.json rounds to milliseconds


def groups(values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Split rows into at most five quantile groups; equal values stay together.

    Args:
        values: (N,) integers, N >= 1.

    Returns:
        For each group, in ascending order, its range as text and its rows as (N,) bool. Every row
        is in exactly one group, and no group is empty.
    """
    cuts = np.quantile(values, np.arange(1, _MOST_GROUPS) / _MOST_GROUPS, method="inverted_cdf")
    upper = np.unique([*cuts, values.max()])  # (G,) the largest value of each group
    group = np.searchsorted(upper, values)
    ranges = []
    for g in range(len(upper)):
        rows = group == g
        low, high = int(values[rows].min()), int(values[rows].max())
        ranges.append((f"{low}" if low == high else f"{low}–{high}", rows))
    return ranges


def grouped(comparison: Comparison, metric: str, values: np.ndarray, title: str) -> Grouped:
    """A metric of every model in quantile groups of `values`, (N,) integers, one per test row."""
    cut = groups(values)
    user = next(iter(comparison.ranks.values())).user
    by_group = [estimates(comparison, [metric], rows)[metric] for _, rows in cut]
    return Grouped(
        title=title,
        names=[name for name, _ in cut],
        users=[len(np.unique(user[rows])) for _, rows in cut],
        estimates={label: [group[label] for group in by_group] for label in by_group[0]},
    )


def noisy(comparison: Comparison, metric: str) -> Noisy:
    """A metric under noise, for the models that were tested under noise."""
    by_seed: dict[tuple[str, str, float], dict[int, np.ndarray]] = {}
    for label in done_labels(comparison):
        for seed in seeds_of(comparison, label):
            for (kind, ratio), ranks in comparison.noise_ranks.get((label, seed), {}).items():
                for share, each in ((0.0, comparison.ranks[label, seed]), (float(ratio), ranks)):
                    values = user_values(each, [metric], label in comparison.by_target)[:, 0]
                    by_seed.setdefault((label, kind, share), {})[seed] = values
    curves: dict[tuple[str, str], dict[float, Estimate]] = {}
    for (label, kind, share), estimate in (_estimated(by_seed) if by_seed else {}).items():
        curves.setdefault((label, kind), {})[share] = estimate
    return Noisy(
        kinds=sorted({kind for _, kind in curves}),
        ratios=sorted({share for by_ratio in curves.values() for share in by_ratio if share > 0}),
        values=curves,
    )
