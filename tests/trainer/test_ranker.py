"""The direct task: ranks among candidates are counted right, and metrics are RecBole's."""

import numpy as np
import pytest
import torch
from recbole.data.dataloader import NegSampleEvalDataLoader
from recbole.trainer import Trainer as RecBoleTrainer

from recbole_intent.data.loading.checked_dataset import CheckedDataset, CheckedSequentialDataset
from recbole_intent.evaluation.metrics import evaluate
from recbole_intent.modeling.candidates import ScoresCandidates
from recbole_intent.runs.experiment import build

METRICS = ["Hit", "Recall", "NDCG", "MRR"]
DIRECT = {"task": "direct", "metrics": METRICS, "topk": [5, 10]}
# RecBole's evaluation runs a sequential model once for each candidate.
LITTLE = {
    "hidden_size": 16,
    "inner_size": 16,
    "n_layers": 1,
    "n_heads": 1,
    "MAX_ITEM_LIST_LENGTH": 5,
}
OPTIONS = {"SASRec": LITTLE, "BPR": {}, "LightGCN": {"train_batch_size": 2048}}


class OurNegatives:
    """Stands where RecBole's sampler stands, and gives each user our candidates."""

    phase = "test"

    def __init__(self, loader):
        users = loader.dataset.inter_feat["user_id"].tolist()
        targets = loader.dataset.inter_feat["item_id"].tolist()
        rows = zip(users, targets, loader.candidates.long(), strict=True)
        self.of_user = {user: items[items != target] for user, target, items in rows}

    def sample_by_user_ids(self, user_ids, item_ids, num):
        assert (len(user_ids), num) == (1, 99)
        return self.of_user[int(user_ids[0])]


@pytest.mark.parametrize("name", ["BPR", "SASRec"])
def test_metrics_are_those_of_recboles_uni99(config, tmp_path, monkeypatch, name):
    """A model of RecBole's, in RecBole's own evaluation with 99 negatives, which are ours."""
    monkeypatch.chdir(tmp_path)  # RecBole's leaves TensorBoard files where it is
    given = {"fast_sequences": False, "checkpoint_dir": str(tmp_path), **DIRECT, **OPTIONS[name]}
    trainer, data = build(config(name, **given))
    torch.manual_seed(1)
    for parameter in trainer.model.parameters():
        parameter.data.normal_(std=0.3)
    ours = trainer.evaluate(data.test)

    sampled = config(
        name, **{**given, "task": "next-item"}, eval_args={"mode": "uni99"}, eval_batch_size=4096
    )
    # Read by ours: RecBole's own casts times to float32 and has other targets for four users.
    kind = CheckedSequentialDataset if name == "SASRec" else CheckedDataset
    test = kind(sampled).build()[2]
    loader = NegSampleEvalDataLoader(sampled, test, OurNegatives(data.test))
    theirs = RecBoleTrainer(sampled, trainer.model).evaluate(loader, load_best_model=False)
    assert list(ours) == list(theirs)
    # RecBole rounds its values.
    assert ours == pytest.approx(dict(theirs), abs=1e-6)
    assert 0.01 < ours["hit@10"] < 0.5


@pytest.mark.parametrize("name", ["BPR", "SASRec", "LightGCN"])
def test_metrics_of_a_single_target_are_bounded_by_each_other(config, tmp_path, name):
    """A target at the ranks 6 to 10 gains 1 / log2(7) to 1 / log2(11), and is one more hit."""
    given = {"epochs": 1, "checkpoint_dir": str(tmp_path), "learning_rate": 0.01, **DIRECT}
    trainer, data = build(config(name, **given, **OPTIONS[name]))
    trainer.fit(data.train, data.valid)
    found = trainer.evaluate(data.test)
    assert found["hit@10"] > 1.3 * 10 / 100  # it has learned something
    assert found["hit@10"] == found["recall@10"]
    ratio = (found["ndcg@10"] - found["ndcg@5"]) / (found["hit@10"] - found["hit@5"])
    assert 0.289 <= ratio <= 0.3563


@pytest.fixture
def asked(tiny, tmp_path):
    """A trainer of `tiny` and its data of the direct task, 1 + 20 candidates."""
    given = {**DIRECT, "n_candidates": 20, "checkpoint_dir": str(tmp_path)}
    return build(tiny("BPR", **given))


def with_scores(trainer, score) -> None:
    """Let the model score its candidates by a function of them, (B, C) -> (B, C)."""

    class Scripted(ScoresCandidates, torch.nn.Module):
        def score_candidates(self, interaction, candidates):
            return score(candidates)

    trainer.model = Scripted()


def test_ranks_are_counted_among_the_candidates(asked):
    trainer, data = asked
    with_scores(trainer, lambda candidates: -candidates.double())  # the lowest number is best
    ranks = trainer.rank(data.test)
    assert len(ranks) == 60
    lists = {}
    for batch in data.test:
        for user, row in zip(batch.user.tolist(), batch.candidates.numpy(), strict=True):
            lists[user] = row
    for user, target, rank in zip(ranks.user, ranks.target, ranks.rank, strict=True):
        assert rank == 1 + (lists[user] < target).sum()


def test_ties_count_half_and_what_is_never_named_ties(asked):
    trainer, data = asked
    with_scores(trainer, lambda candidates: torch.zeros(candidates.shape))
    assert (trainer.rank(data.test).rank == 11).all()
    with_scores(trainer, lambda candidates: torch.full(candidates.shape, -torch.inf))
    assert (trainer.rank(data.test).rank == 11).all()


def test_the_mask_of_histories_changes_nothing(tiny, tmp_path):
    """Candidates lie outside of them, and a target always counts."""
    given = {**DIRECT, "n_candidates": 20, "checkpoint_dir": str(tmp_path)}
    found = []
    for mask in (False, True):
        trainer, data = build(tiny("BPR", **given, mask_history=mask))
        found.append(trainer.rank(data.test).rank)
    np.testing.assert_array_equal(*found)


def test_chance_ranks_as_chance(config, tmp_path):
    trainer, data = build(config("Random", checkpoint_dir=str(tmp_path), **DIRECT))
    found = evaluate(trainer.rank(data.test), ["Hit"], [10])
    assert found["hit@10"] == pytest.approx(0.1, abs=0.03)
