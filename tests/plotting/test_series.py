"""Groups part the rows, estimates are the metrics' own means, curves begin after pre-training."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from recbole_intent.evaluation.metrics import evaluate
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.plotting import series


@pytest.mark.parametrize(
    "values",
    [
        np.arange(100),
        np.full(40, 3),
        np.array([1]),
        np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 9]),
        np.array([0, 9, 9, 9, 9, 9, 9, 9, 9, 9]),
        np.random.default_rng(0).geometric(0.1, 1000),
    ],
    ids=["even", "equal", "one", "low ties", "high ties", "long tail"],
)
def test_groups_part_the_rows(values):
    found = series.groups(values)
    assert 1 <= len(found) <= 5
    assert (sum(rows.astype(int) for _, rows in found) == 1).all()
    ranges = [(values[rows].min(), values[rows].max()) for _, rows in found]
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
    assert [name for name, _ in found] == [f"{a}" if a == b else f"{a}–{b}" for a, b in ranges]


def test_even_values_give_even_groups():
    assert [rows.sum() for _, rows in series.groups(np.arange(100))] == [20] * 5


def test_estimates_are_means_over_users_and_seeds(make_comparison):
    comparison = make_comparison(["A", "B"])
    found = series.estimates(comparison, comparison.metrics)
    for metric, by_label in found.items():
        for label, one in by_label.items():
            tests = {s: comparison.results[label, s]["test"][metric] for s in comparison.seeds}
            assert one.by_seed == pytest.approx(tests)
            assert one.mean == pytest.approx(np.mean(list(tests.values())))
            assert one.low < one.mean < one.high


def test_an_interval_of_equal_users_is_a_point(make_comparison):
    comparison = make_comparison(["A"], seeds=(1,), n=20)
    ranks = {("A", 1): Ranks(np.arange(20), np.ones(20), np.full(20, 2.0))}
    comparison = dataclasses.replace(comparison, ranks=ranks)
    one = series.estimates(comparison, ["recall@5"])["recall@5"]["A"]
    assert (one.mean, one.low, one.high) == (1.0, 1.0, 1.0)


def test_the_groups_average_to_the_whole(make_comparison):
    comparison = make_comparison(["A", "B"])
    found = series.grouped(comparison, "ndcg@10", comparison.history_length, "length")
    whole = series.estimates(comparison, ["ndcg@10"])["ndcg@10"]
    assert sum(found.users) == len(comparison.history_length)
    for label, each in found.estimates.items():
        mean = np.average([one.mean for one in each], weights=found.users)
        assert mean == pytest.approx(whole[label].mean)


def test_a_user_with_several_targets_counts_once(make_comparison):
    """Ratio splits: three targets a user, whose popularity may lie in different groups."""
    user = np.repeat(np.arange(10), 3)
    ranks = Ranks(user, np.tile([1, 2, 3], 10), np.tile([1.0, 20.0, 4.0], 10))
    comparison = dataclasses.replace(
        make_comparison(["A"], seeds=(1,)), ranks={("A", 1): ranks}, seeds=[1]
    )
    popularity = np.tile([5, 5, 50], 10)
    found = series.grouped(comparison, "recall@5", popularity, "popularity")
    assert found.names == ["5", "50"]
    assert found.users == [10, 10]
    assert [one.mean for one in found.estimates["A"]] == [0.5, 1.0]
    assert evaluate(ranks, ["recall"], [5])["recall@5"] == pytest.approx(2 / 3)


def test_only_models_with_a_run_are_drawn(make_comparison):
    comparison = make_comparison(["A", "B", "C"])
    gone = [("B", 2020), ("B", 2021), ("C", 2020)]
    for key in gone:
        del comparison.results[key], comparison.ranks[key]
    assert series.done_labels(comparison) == ["A", "C"]
    assert series.seeds_of(comparison, "C") == [2021]
    found = series.estimates(comparison, ["ndcg@10"])["ndcg@10"]
    assert list(found) == ["A", "C"]
    assert list(found["C"].by_seed) == [2021]


def test_the_main_metric(make_comparison):
    assert series.main_metric(make_comparison(["A"])) == "ndcg@10"
    assert series.main_metric(make_comparison(["A"], metrics=("hit@3", "mrr@3"))) == "hit@3"


def result(history, **changes):
    return {"history": history, "pretraining_seconds": 120.0, "best_epoch": 2, **changes}


def test_a_curve_begins_after_pretraining_and_skips_epochs_without_validation():
    history = [
        {"epoch": 0, "seconds": 60.0},
        {"epoch": 1, "seconds": 60.0, "valid": {"ndcg@10": 0.1}},
        {"epoch": 2, "seconds": 60.0},
        {"epoch": 3, "seconds": 30.0, "valid": {"ndcg@10": 0.2}},
    ]
    found = series.curve(result(history), "ndcg@10")
    assert found == series.Curve([2, 4], [4.0, 5.5], [0.1, 0.2], 0)


def test_a_curve_of_nothing():
    found = series.curve(result([], best_epoch=0), "ndcg@10")
    assert found == series.Curve([], [], [], None)


def test_minutes_count_pretraining_and_are_above_zero(make_comparison):
    comparison = make_comparison(["A", "B"])
    seconds = comparison.results["B", 2020]["seconds"]
    assert series.minutes(comparison, "B") == pytest.approx((seconds + 60) / 60)
    for seed in comparison.seeds:
        comparison.results["A", seed]["seconds"] = 0.0
    assert series.minutes(comparison, "A") > 0


def test_noise_has_its_clean_value_and_leaves_out_models_without(make_comparison):
    comparison = make_comparison(["A", "B"], ratios=(0.3, 0.1))
    for seed in comparison.seeds:
        comparison.noise_ranks["B", seed].clear()
    found = series.noisy(comparison, "ndcg@10")
    assert found.kinds == ["delete", "replace"]
    assert found.ratios == [0.1, 0.3]
    assert set(found.values) == {("A", "delete"), ("A", "replace")}
    by_ratio = found.values["A", "delete"]
    for seed in comparison.seeds:
        clean = comparison.results["A", seed]["test"]["ndcg@10"]
        assert by_ratio[0.0].by_seed[seed] == pytest.approx(clean)
        ranks = comparison.noise_ranks["A", seed]["delete", 0.3]
        noisy = evaluate(ranks, ["ndcg"], [10])["ndcg@10"]
        assert by_ratio[0.3].by_seed[seed] == pytest.approx(noisy)
    for one in by_ratio.values():
        assert one.low < one.mean < one.high
    assert series.noisy(make_comparison(["A"]), "ndcg@10").values == {}


def test_the_metrics_to_choose_from(make_comparison):
    comparison = make_comparison(["A"])
    assert series.families(comparison) == {
        "ndcg@10": ["ndcg@5", "ndcg@10"],
        "recall@10": ["recall@5", "recall@10"],
        "mrr@10": ["mrr@10"],
    }
    comparison = make_comparison(["A"], metrics=("hit@3", "mrr@1", "mrr@5"))
    assert series.families(comparison) == {"hit@3": ["hit@3"], "mrr@1": ["mrr@1", "mrr@5"]}


def test_targets_of_a_sequential_model_are_lists_of_their_own(make_comparison):
    """As in the tables and tests of a comparison, where users have several targets."""
    ranks = Ranks(np.array([1, 1, 2]), np.array([5, 6, 7]), np.array([1.0, 20.0, 1.0]))
    comparison = dataclasses.replace(
        make_comparison(["A", "B"]),
        ranks={("A", 1): ranks, ("B", 1): ranks},
        metrics=["ndcg@10"],
        by_target=frozenset("A"),
    )
    found = series.estimates(comparison, ["ndcg@10"])["ndcg@10"]
    values = comparison.user_values()
    assert found["A"].mean == values["A", 1].mean() == (0.5 + 1) / 2
    assert found["B"].mean == values["B", 1].mean() == pytest.approx((0.6131 + 1) / 2, abs=1e-4)
