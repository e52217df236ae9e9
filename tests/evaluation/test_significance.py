"""Paired tests, where the answer is known."""

import warnings

import numpy as np
import pytest
from scipy import stats

from recbole_intent.evaluation.significance import (
    best_baselines,
    bootstrap_both,
    bootstrap_intervals,
    holm,
    paired_t,
    paired_tests,
    smallest_difference,
    stars,
    wilcoxon,
)

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_p_values_are_scipys():
    a, b = RNG.random((200, 3)), RNG.random((200, 3))
    assert paired_t(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert wilcoxon(a - b) == pytest.approx(stats.wilcoxon(a - b, axis=0).pvalue)


def test_students_sleep_data():
    """Student (1908): additional sleep of ten patients under two drugs; t = -4.0621, p = .00283."""
    one = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    two = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    assert paired_t((one - two)[:, None])[0] == pytest.approx(0.002833, abs=1e-6)


def test_equal_models_do_not_differ():
    zeros = np.zeros((50, 2))
    assert paired_t(zeros).tolist() == [1, 1]
    assert wilcoxon(zeros).tolist() == [1, 1]
    assert bootstrap_intervals(zeros).tolist() == [[0, 0], [0, 0]]
    values = {("A", 1): zeros, ("B", 1): zeros, ("A", 2): zeros, ("B", 2): zeros}
    tests = paired_tests(values, ["m", "n"], {"m": "B", "n": "B"})
    assert tests
    assert all(t.holm_t == t.holm_wilcoxon == 1 and t.difference == 0 for t in tests)


def test_a_constant_difference_has_no_spread():
    assert paired_t(np.full((9, 1), 0.25)).tolist() == [0]


def test_the_sides_are_alike():
    """A model that is as much worse has the same p and the other sign."""
    base = RNG.random((300, 1))
    values = {
        ("base", 1): base,
        ("better", 1): base + RNG.normal(0.02, 0.1, base.shape),
    }
    values["worse", 1] = 2 * base - values["better", 1]
    better, worse = paired_tests(values, ["m"], {"m": "base"})
    assert (better.label, worse.label) == ("better", "worse")
    assert better.difference == pytest.approx(-worse.difference)
    assert better.difference > 0
    assert better.p_t == pytest.approx(worse.p_t)
    assert better.p_wilcoxon == pytest.approx(worse.p_wilcoxon)
    assert better.interval == pytest.approx((-worse.interval[1], -worse.interval[0]), abs=2e-3)


def test_the_interval_is_that_of_scipy_and_of_theory():
    difference = RNG.normal(0.3, 1.0, (400, 2))
    found = bootstrap_intervals(difference, seed=1)
    for i in range(2):
        column = difference[:, i]
        theirs = stats.bootstrap(
            (column,), np.mean, method="percentile", n_resamples=2000, rng=3
        ).confidence_interval
        assert found[i] == pytest.approx([theirs.low, theirs.high], abs=0.02)
        half = 1.96 * column.std() / 20
        assert found[i] == pytest.approx([column.mean() - half, column.mean() + half], abs=0.02)


def test_the_interval_over_both_has_the_spread_of_seeds_and_of_users():
    """Var = var of seeds / S + var of users / U + var of the rest / (S U), by theory."""
    S, U = 40, 3000
    seeds, users = RNG.normal(0, 0.05, (S, 1)), RNG.normal(0, 0.8, (1, U))
    both = seeds + users + RNG.normal(0, 0.5, (S, U))
    low, high = bootstrap_both(both[None])[0]
    expected = np.sqrt(0.05**2 / S + 0.8**2 / U + 0.5**2 / (S * U))
    assert (high - low) / (2 * 1.96) == pytest.approx(expected, rel=0.15)
    # Users alone miss that another training gives another result.
    (alone,) = bootstrap_intervals(both.mean(axis=0)[:, None])
    assert np.ptp(alone) < high - low


def test_one_constant_difference_leaves_no_doubt():
    assert bootstrap_both(np.full((2, 3, 50), 0.25)).tolist() == [[0.25, 0.25]] * 2


def test_the_smallest_difference_is_found_in_four_of_five_cases():
    n, sd = 10, 0.3
    found = 0
    for _ in range(400):
        sample = RNG.normal(0, sd, n)
        size = smallest_difference(sample) / sample.std(ddof=1) * sd
        found += paired_t((sample + size)[:, None])[0] <= 0.05
    assert 0.7 <= found / 400 <= 0.9


def test_the_interval_depends_on_the_seed_alone(monkeypatch):
    difference = RNG.normal(size=(100, 2))
    whole = bootstrap_intervals(difference, resamples=50)
    assert np.array_equal(whole, bootstrap_intervals(difference, resamples=50))
    assert not np.array_equal(whole, bootstrap_intervals(difference, resamples=50, seed=1))
    # Smaller blocks, as with many users: the same draws.
    monkeypatch.setattr("recbole_intent.evaluation.significance._BLOCK", 700)
    assert bootstrap_intervals(difference, resamples=50) == pytest.approx(whole)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    differences = RNG.normal(0.1, 1.0, (150, 400))  # 400 experiments in one call
    low, high = bootstrap_intervals(differences, resamples=500).T
    assert 0.90 < np.mean((low <= 0.1) & (high >= 0.1)) < 0.98


def test_holm_on_a_worked_example():
    """p = .01, .04, .03, .005 at alpha .05: the first and the last are rejected, no other."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_between_nothing_and_bonferroni():
    p = RNG.random(40) ** 3
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(40 * p, 1)).all()
    order = np.argsort(p)
    assert (np.diff(corrected[order]) >= 0).all()
    assert holm([]).tolist() == []
    assert holm([0.2]).tolist() == [0.2]


def test_holm_keeps_false_stars_rare():
    """20 models that do not differ: among 200 tables, about 5 % have any star, not 64 %."""
    starred = sum((holm(paired_t(RNG.normal(size=(30, 20)))) <= 0.05).any() for _ in range(200))
    assert starred <= 22


@pytest.mark.parametrize(
    ("p", "mark"),
    [(1.0, ""), (0.0501, ""), (0.05, "*"), (0.011, "*"), (0.01, "**"), (0.001, "***"), (0, "***")],
)
def test_stars(p, mark):
    assert stars(p) == mark


def test_units_and_families():
    """Users averaged over seeds, users of each seed, seeds; each unit is a family of its own."""
    noise = {s: RNG.normal(0, 0.3, (80, 2)) for s in (1, 2, 3)}
    values = {("base", s): noise[s] for s in (1, 2, 3)}
    values |= {("new", s): noise[s] + RNG.normal(0.1, 0.2, (80, 2)) for s in (1, 2, 3)}
    values["half", 2] = RNG.random((80, 2))
    tests = paired_tests(values, ["m", "n"], {"m": "base", "n": "base"})
    by_unit = {unit: [t for t in tests if t.unit == unit] for unit in {t.unit for t in tests}}
    assert {unit: len(found) for unit, found in by_unit.items()} == {
        "users": 4,
        "seed 1": 2,
        "seed 2": 2,
        "seed 3": 2,
        "seeds": 2,
    }
    for unit, found in by_unit.items():
        assert holm([t.p_t for t in found]) == pytest.approx([t.holm_t for t in found])
        assert {t.n for t in found} == ({3} if unit == "seeds" else {80})
        assert all(t.interval[0] < t.difference < t.interval[1] for t in found)
        assert all((t.smallest is None) == (unit != "seeds") for t in found)
    mean = np.mean([values["new", s] - values["base", s] for s in (1, 2, 3)], axis=0)
    new = next(t for t in by_unit["users"] if (t.label, t.metric) == ("new", "n"))
    assert new.difference == pytest.approx(mean[:, 1].mean())
    assert new.p_t == pytest.approx(stats.ttest_1samp(mean[:, 1], 0).pvalue)
    over = next(t for t in by_unit["seeds"] if t.metric == "n")
    means = [(values["new", s] - values["base", s])[:, 1].mean() for s in (1, 2, 3)]
    assert over.p_t == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_seeds_that_do_not_differ_are_no_samples():
    """Two seeds that by chance have the same difference would else be starred."""
    base = np.zeros((10, 1))
    one, two = base.copy(), base.copy()
    one[:3], two[4:7] = 0.1, 0.1
    values = {("A", 1): one, ("A", 2): two, ("B", 1): base, ("B", 2): base}
    assert {t.unit for t in paired_tests(values, ["m"], {"m": "B"})} == {
        "users",
        "seed 1",
        "seed 2",
    }


def test_the_best_baseline_is_not_the_reference():
    means = {"ours": {"m": 0.9, "n": 0.1}, "A": {"m": 0.5, "n": 0.2}, "B": {"m": 0.4, "n": 0.3}}
    assert best_baselines(means, ["m", "n"], "ours") == {"m": "A", "n": "B"}
    assert best_baselines({"ours": means["ours"]}, ["m", "n"], "ours") == {}
