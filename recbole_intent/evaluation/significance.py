"""Paired tests of models on the same users: t, Wilcoxon, bootstrap intervals, Holm correction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from recbole_intent.evaluation.definitions import sign_of

# Resamples are drawn in blocks of at most this many user indices (32 MiB).
_BLOCK = 2**22

USERS, SEEDS = "users", "seeds"


@dataclass(frozen=True)
class PairedTest:
    """Test of one model against another in one metric.

    Attributes:
        label: label of the model.
        against: label of the model it is compared with.
        metric: such as `recall@10`.
        unit: the samples: `users` (each user's value averaged over the seeds that both models
            have), `seed 2020` (users of that seed only), or `seeds` (each seed's mean over users
            is one sample, which captures the variation between trainings).
        n: number of samples.
        difference: mean of the model minus mean of the other.
        interval: 95 % bootstrap interval of the difference: over users, or, for `seeds`, over
            seeds and users together (`bootstrap_both`).
        p_t, p_wilcoxon: two-sided p of the paired t-test and of Wilcoxon's signed-rank test.
        holm_t, holm_wilcoxon: the same after Holm's correction over the family: all models and
            metrics with the same unit in one call of `paired_tests`.
        smallest: for `seeds`, the difference that these seeds would show in four of five cases
            (`smallest_difference`).
    """

    label: str
    against: str
    metric: str
    unit: str
    n: int
    difference: float
    interval: tuple[float, float]
    p_t: float
    p_wilcoxon: float
    holm_t: float
    holm_wilcoxon: float
    smallest: float | None = None

    @property
    def is_better(self) -> bool:
        """Whether the model has the better mean; lower is better in some metrics."""
        return self.difference * sign_of(self.metric) > 0


def paired_t(differences: np.ndarray) -> np.ndarray:
    """Two-sided p of the paired t-test, column by column.

    Args:
        differences: (n, C), n >= 2.

    Returns:
        (C,) p: 1 where all differences of a column are 0; 0 where they all equal the same nonzero
        number, which is the limit of a vanishing spread.
    """
    n = len(differences)
    mean = differences.mean(axis=0)
    is_constant = np.ptp(differences, axis=0) == 0
    error = differences.std(axis=0, ddof=1) / np.sqrt(n)
    t = np.divide(mean, error, out=np.zeros_like(mean), where=~is_constant)
    p = 2 * stats.t.sf(np.abs(t), n - 1)
    return np.where(is_constant, np.where(differences[0] == 0, 1.0, 0.0), p)


def wilcoxon(differences: np.ndarray) -> np.ndarray:
    """Two-sided p of Wilcoxon's signed-rank test, column by column; equal pairs are left out.

    Args:
        differences: (n, C).

    Returns:
        (C,) p; 1 where all differences of a column are 0.
    """
    columns = (column[column != 0] for column in differences.T)
    return np.array([stats.wilcoxon(c).pvalue if len(c) else 1.0 for c in columns])


def bootstrap_intervals(
    differences: np.ndarray, *, level: float = 0.95, resamples: int = 2000, seed: int = 2020
) -> np.ndarray:
    """Percentile bootstrap intervals of the mean differences over users.

    All columns share the same resamples. These are drawn as counts in blocks, so memory does not
    grow with `resamples` times users.

    Args:
        differences: (n, C), for n users.
        level: confidence level, in (0, 1).
        resamples: >= 1.
        seed: seed of the resamples; the same seed gives the same intervals.

    Returns:
        (C, 2) lower and upper ends.
    """
    n, rng = len(differences), np.random.default_rng(seed)
    block = max(1, _BLOCK // n)
    means = np.empty((resamples, differences.shape[1]))
    for first in range(0, resamples, block):
        rows = min(block, resamples - first)
        means[first : first + rows] = _counts(rng, rows, n) @ differences / n
    tail = (1 - level) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0).T


def bootstrap_both(
    differences: np.ndarray, *, level: float = 0.95, resamples: int = 2000, seed: int = 2020
) -> np.ndarray:
    """Percentile bootstrap intervals of the mean differences over seeds and users together.

    Each resample draws seeds and, independently, users, both with replacement, so that the
    interval covers what other trainings and other users would give. With few seeds it is still too
    short: S seeds show at most S (S - 1) / 2 differences between trainings.

    Args:
        differences: (C, S, U), for S seeds and U users.
        level, resamples, seed: as in `bootstrap_intervals`.

    Returns:
        (C, 2) lower and upper ends.

    Source: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics, 2007.
    """
    _, n_seeds, n_users = differences.shape
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // n_users)
    means = np.empty((resamples, len(differences)))
    for first in range(0, resamples, block):
        rows = min(block, resamples - first)
        users = _counts(rng, rows, n_users)
        seeds = _counts(rng, rows, n_seeds)
        by_seed = np.einsum("csu,ru->rcs", differences, users, optimize=True) / n_users
        means[first : first + rows] = np.einsum("rcs,rs->rc", by_seed, seeds) / n_seeds
    tail = (1 - level) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0).T


def _counts(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """How often each of n is drawn in each of `rows` resamples: (rows, n) float64."""
    drawn = rng.integers(n, size=(rows, n))
    drawn += np.arange(rows)[:, None] * n
    counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
    return counts.astype(np.float64)


def smallest_difference(by_seed: np.ndarray, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The difference between two models that the paired t-test over seeds would probably show.

    Args:
        by_seed: (S,) differences of the seeds' means, S >= 2.
        alpha: two-sided level of the test, in (0, 1).
        power: probability of showing a difference of the returned size, in (0, 1).

    Returns:
        (t_{1 - alpha / 2} + t_power) sd / sqrt(S), with t of S - 1 degrees of freedom: the usual
        approximation. The sd over few seeds is itself uncertain.
    """
    n = len(by_seed)
    t = stats.t.ppf(1 - alpha / 2, n - 1) + stats.t.ppf(power, n - 1)
    return float(t * by_seed.std(ddof=1) / np.sqrt(n))


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Apply Holm's step-down correction to a family of p values.

    The smallest of m values is multiplied by m, the next by m - 1 and so on; the results are kept
    non-decreasing and at most 1. Rejecting where the result is <= alpha keeps the probability of
    any false rejection in the family below alpha.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def stars(p: float) -> str:
    """`***`, `**` or `*` for a corrected p of at most .001, .01 or .05; nothing above."""
    return next(
        (mark for mark, limit in (("***", 0.001), ("**", 0.01), ("*", 0.05)) if p <= limit), ""
    )


def best_baselines(
    means: Mapping[str, Mapping[str, float]], metrics: Sequence[str], reference: str | None
) -> dict[str, str]:
    """Map each metric to its best baseline by mean *test* value, as papers report gains.

    Choosing on the test set makes the baseline look better and the gain smaller.

    Args:
        means: label -> mean test value of each metric.
        metrics: metrics to include.
        reference: label that does not count as a baseline; all others do.
    """
    baselines = [label for label in means if label != reference]
    if not baselines:
        return {}
    return {
        metric: max(baselines, key=lambda label: sign_of(metric) * means[label][metric])
        for metric in metrics
    }


def paired_tests(
    values: Mapping[tuple[str, int], np.ndarray],
    metrics: Sequence[str],
    opponents: Mapping[str, str],
) -> list[PairedTest]:
    """Test every model against one opponent per metric, over users and over seeds.

    Args:
        values: (label, seed) -> (U, M) values of U users in M metrics, with the same users in the
            same order everywhere.
        metrics: names of the M metrics.
        opponents: metric -> label of the opponent; missing metrics are not tested.

    Returns:
        One test for each model other than the opponent, each metric and each unit for which both
        have at least two samples. `seeds` is left out if all seeds have the same difference, as
        for models that do not learn or by chance with two seeds: no test applies then.
    """
    labels = list(dict.fromkeys(label for label, _ in values))
    pairs = [
        (label, opponent, metric)
        for label in labels
        for metric, opponent in opponents.items()
        if label != opponent
    ]
    seeds_of = {label: [seed for name, seed in values if name == label] for label in labels}
    column = {metric: i for i, metric in enumerate(metrics)}
    units: dict[str, list[tuple[tuple[str, str, str], np.ndarray]]] = {}
    over_seeds: dict[tuple[str, str, str], np.ndarray] = {}
    for label, opponent, metric in pairs:
        shared = [seed for seed in seeds_of[label] if seed in seeds_of[opponent]]
        if not shared:
            continue
        by_seed = np.stack(
            [
                values[label, seed][:, column[metric]] - values[opponent, seed][:, column[metric]]
                for seed in shared
            ]
        )  # (S, U)
        # A different order of summation must not turn a tie into a difference.
        by_user, by_mean = by_seed.mean(axis=0).round(12), by_seed.mean(axis=1).round(12)
        pair = (label, opponent, metric)
        units.setdefault(USERS, []).append((pair, by_user))
        if len(shared) == 1:
            continue
        for seed, differences in zip(shared, by_seed, strict=True):
            units.setdefault(f"seed {seed}", []).append((pair, differences))
        if np.ptp(by_mean) > 0:
            units.setdefault(SEEDS, []).append((pair, by_mean))
            over_seeds[pair] = by_seed
    return [
        test for unit, samples in units.items() for test in _test_unit(unit, samples, over_seeds)
    ]


def _test_unit(
    unit: str,
    samples: Iterable[tuple[tuple[str, str, str], np.ndarray]],
    over_seeds: Mapping[tuple[str, str, str], np.ndarray],
) -> list[PairedTest]:
    tests = []
    by_n: dict[int, list[tuple[tuple[str, str, str], np.ndarray]]] = {}
    for pair, differences in samples:
        if len(differences) >= 2:
            by_n.setdefault(len(differences), []).append((pair, differences))
    for n, group in by_n.items():
        matrix = np.stack([differences for _, differences in group], axis=1)  # (n, C)
        if unit == SEEDS:
            intervals = bootstrap_both(np.stack([over_seeds[pair] for pair, _ in group]))
        else:
            intervals = bootstrap_intervals(matrix)
        p_t, p_wilcoxon = paired_t(matrix), wilcoxon(matrix)
        for i, ((label, against, metric), differences) in enumerate(group):
            interval = (float(intervals[i, 0]), float(intervals[i, 1]))
            p_values = float(p_t[i]), float(p_wilcoxon[i])
            mean = float(differences.mean())
            power = smallest_difference(differences) if unit == SEEDS else None
            tests.append(
                PairedTest(
                    label, against, metric, unit, n, mean, interval, *p_values, *p_values, power
                )
            )
    corrected = zip(
        tests, holm([t.p_t for t in tests]), holm([t.p_wilcoxon for t in tests]), strict=True
    )
    return [replace(test, holm_t=float(t), holm_wilcoxon=float(w)) for test, t, w in corrected]
