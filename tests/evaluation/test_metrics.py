"""Metrics from ranks equal RecBole's own Collector and Evaluator."""

import numpy as np
import pytest
import torch

from recbole_intent.evaluation import definitions
from recbole_intent.evaluation.definitions import register_metric
from recbole_intent.evaluation.metrics import evaluate, per_user
from recbole_intent.evaluation.ranks import Ranks, rank_of_targets
from recbole_intent.runs.experiment import build
from recbole_intent.utils import compat
from recbole_intent.utils.errors import UserError

METRICS = ["Recall", "Hit", "Precision", "MRR", "NDCG", "MAP"]
TOPK = [1, 5, 10, 20]


def recbole_metrics(scores, users, targets):
    """What RecBole's Collector and Evaluator say of `scores`, row u being user u."""
    compat.apply()
    from recbole.evaluator import Collector, Evaluator

    config = {
        "metrics": METRICS,
        "topk": TOPK,
        "metric_decimal_place": 8,
        "eval_args": {"mode": "full"},
        "device": torch.device("cpu"),
    }
    collector = Collector(config)
    scores = scores.clone()
    scores[:, 0] = -np.inf  # as RecBole's trainer does
    collector.eval_batch_collect(scores, None, users, targets)
    return Evaluator(config).evaluate(collector.get_data_struct())


@pytest.mark.parametrize("most_targets", [1, 4, 30])
@pytest.mark.parametrize("seed", range(3))
def test_equal_to_recbole_with_one_and_with_several_targets(most_targets, seed):
    rng = np.random.default_rng(seed)
    n_users, n_items = 60, 80
    scores = torch.from_numpy(rng.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1))
    scores = scores.float()  # no ties: RecBole's order among ties is torch.topk's
    pairs = [
        (user, target)
        for user in range(n_users)
        for target in 1 + rng.choice(n_items - 1, rng.integers(1, most_targets + 1), replace=False)
    ]
    users, targets = torch.tensor(pairs).t()
    ranks = Ranks(users.numpy(), targets.numpy(), rank_of_targets(scores[users], targets).numpy())

    ours = evaluate(ranks, METRICS, TOPK)
    theirs = recbole_metrics(scores, users, targets)
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        assert type(value) is float
        assert value == pytest.approx(float(theirs[name]), abs=1e-6), name


def test_the_mean_is_over_users_and_not_over_targets():
    ranks = Ranks(user=[1, 1, 1, 2], target=[1, 2, 3, 4], rank=[1, 2, 3, 100])
    users, values = per_user(ranks, "recall", 10)
    assert users.tolist() == [1, 2]
    assert values.tolist() == [1.0, 0.0]
    assert evaluate(ranks, ["recall"], [10]) == {"recall@10": 0.5}


def test_a_tie_across_the_end_of_the_list_is_no_hit():
    ranks = Ranks(user=[1, 2], target=[1, 1], rank=[5.5, 5.0])
    assert per_user(ranks, "hit", 5)[1].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("metric", METRICS)
def test_several_tied_targets_of_one_user_never_exceed_one(metric):
    ranks = Ranks(user=[1, 1, 1], target=[1, 2, 3], rank=[2.0, 2.0, 2.0])
    assert 0 < per_user(ranks, metric, 2)[1][0] <= 1


@pytest.mark.parametrize("metric", METRICS)
def test_a_better_rank_and_a_longer_list_never_lower_a_metric(metric):
    rank = np.arange(1, 40)
    ranks = Ranks(user=rank, target=np.ones(39), rank=rank)
    values = per_user(ranks, metric, 10)[1]
    assert (np.diff(values) <= 0).all()
    if metric != "Precision":
        assert (per_user(ranks, metric, 20)[1] >= values).all()


def test_wrong_requests_are_named():
    ranks = Ranks(user=[1], target=[1], rank=[1])
    with pytest.raises(UserError, match="'ndgc' is unknown; known are recall, hit, precision, mrr"):
        evaluate(ranks, ["ndgc"], [10])
    with pytest.raises(UserError, match="topk: 0"):
        evaluate(ranks, ["recall"], [0])
    with pytest.raises(UserError, match="no targets"):
        evaluate(Ranks([], [], []), ["recall"], [10])


def test_a_metric_of_ones_own(tiny, monkeypatch):
    """It chooses the epoch, stands in the result, and has one value per user."""
    for name in ("first", "frist"):
        monkeypatch.setitem(definitions.METRICS, name, None)  # restored at the end
        del definitions.METRICS[name]
    register_metric("First", lambda lists: (lists.rank == 1).astype(float)[lists.first])
    trainer, data = build(tiny("Pop", metrics=["First", "NDCG"], topk=[5], valid_metric="First@5"))
    score, found = trainer.fit(data.train, data.valid)
    assert found["first@5"] == score
    ranks = trainer.rank(data.test)
    assert found.keys() == trainer.metrics(ranks).keys()
    assert trainer.metrics(ranks)["first@5"] == (ranks.rank == 1).mean()
    with pytest.raises(UserError, match=r"'Frist' is not one of recall.*did you mean first"):
        tiny("Pop", metrics=["Frist"])
    with pytest.raises(UserError, match="only letters, digits and _"):
        register_metric("a@b", lambda lists: lists.hit)
