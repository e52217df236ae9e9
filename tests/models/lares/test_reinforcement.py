"""LARES's reinforcement stage: its objective, its rows, its reference, and a kill in it."""

import math

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.models.lares.policy import policy_losses, rewards_of
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

SMALL = {"hidden_size": 8, "inner_size": 12, "epochs": 4, "rpt_share": 0.5, "rpt_batch_size": 50}


def test_rewards():
    ranks = torch.tensor([0, 1, 4, 5, 90])
    assert rewards_of(ranks, "recall", 5).tolist() == [1, 1, 1, 0, 0]
    expected = [1, 1 / math.log2(3), 1 / math.log2(6), 0, 0]
    assert rewards_of(ranks, "ndcg", 5).tolist() == pytest.approx(expected)


def test_the_objective_is_as_defined():
    """Rollouts of different depths, written out as loops; its gradient raises what is rewarded."""
    torch.manual_seed(0)
    own = [torch.randn(3, steps, requires_grad=True) for steps in (2, 5)]
    theirs = [torch.randn(3, steps) for steps in (2, 5)]
    rewards = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    policy, divergence = policy_losses(own, theirs, rewards)
    expected = 0.0
    for g in range(2):
        for b in range(3):
            delta = theirs[g][b] - own[g][b]
            expected += float((delta.exp() - delta - 1).mean()) / 6
    assert float(divergence) == pytest.approx(expected, rel=1e-5)
    policy.backward()
    # Only the first row's rollouts differ: one gains what the other loses.
    A = 0.5 / (math.sqrt(0.5) + 1e-4)
    for g, sign in ((0, -1), (1, 1)):
        steps = own[g].size(1)
        torch.testing.assert_close(own[g].grad[0], torch.full((steps,), sign * A / steps / 6))
        assert (own[g].grad[1:] == 0).all()


def test_log_probabilities_and_ranks_are_those_of_the_scores(tiny):
    for similarity in ("dot", "cos"):
        trainer, data = build(tiny("LARES", similarity=similarity, temperature=0.5, **SMALL))
        model, batch = trainer.model.eval(), next(iter(data.train))
        h = model.states(batch["item_id_list"], batch["item_length"], 3)
        target, scores = batch["item_id"], model.full_sort_predict(batch)
        scale = 0.5 if similarity == "cos" else 1.0
        h_T = model.states(batch["item_id_list"], batch["item_length"], 4)
        log_p = model.log_probabilities(h_T, target)[:, -1]
        loss = F.cross_entropy(scores / scale, target, reduction="none")
        torch.testing.assert_close(log_p, -loss)
        assert model.log_probabilities(h, target).shape == (len(batch), 3)
        expected = (scores > scores.gather(1, target[:, None])).sum(1)
        assert torch.equal(model.ranks(h_T[:, -1], target), expected)


def test_it_starts_from_the_best_pretrained_weights_and_keeps_them_as_reference(tiny):
    trainer, data = build(tiny("LARES", rpt_keep_top=15, **SMALL))
    starts = []

    def note(record):
        if record["stage"] == "pre-training":
            weights = {k: v.clone() for k, v in trainer.model.state_dict().items()}
            starts.append((record["valid"]["ndcg@10"], weights))

    sizes = []
    reinforce = trainer._reinforce

    def count(batch):
        sizes.append(len(batch))
        return reinforce(batch)

    trainer._reinforce = count
    trainer.fit(data.train, data.valid, on_epoch=note)
    assert [r["stage"] for r in trainer.history] == ["pre-training"] * 2 + ["reinforcement"] * 2
    assert [*trainer.history[2]["loss"]] == ["policy", "divergence"]
    assert trainer.history[3]["loss"]["divergence"] > 0
    best = max(starts, key=lambda start: start[0])[1]
    reference = trainer._reference.state_dict()
    changed = False
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(reference[name], best[name]), name
        changed |= not torch.equal(value, reference[name])
    assert changed
    n_rows = len(data.train._dataset.inter_feat)
    assert 0 < len(trainer._kept) < n_rows
    assert sum(sizes) == 2 * len(trainer._kept)
    assert max(sizes) == 50
    dropouts = [m for m in trainer.model.modules() if isinstance(m, FastDropout)]
    assert {m.p for m in dropouts} == {0.1}


class _Kill(Exception):
    pass


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_kill_between_the_stages_or_in_the_second_changes_nothing(tiny, tmp_path, epochs):
    config = tiny("LARES", **SMALL)
    whole, data = build(config)
    whole.fit(data.train, data.valid)

    def kill(record):
        if record["epoch"] + 1 == epochs:
            raise _Kill

    first, data = build(config, tmp_path)
    with pytest.raises(_Kill):
        first.fit(data.train, data.valid, on_epoch=kill)
    second, data = build(config, tmp_path)
    second.fit(data.train, data.valid)
    assert [r["loss"] for r in second.history] == [r["loss"] for r in whole.history]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_no_row_within_reach_is_named(tiny, monkeypatch):
    trainer, data = build(tiny("LARES", **SMALL))
    high = lambda self, h, target: torch.full_like(target, 999)  # noqa: E731
    monkeypatch.setattr(type(trainer.model), "ranks", high)
    with pytest.raises(UserError, match="rpt_keep_top: no training row has its target among"):
        trainer.fit(data.train, data.valid)
