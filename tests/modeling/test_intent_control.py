"""Intents exchanged at test time: what the controls do, and who refuses them."""

import pytest
import torch

from recbole_intent.modeling.intent_control import ControlsIntents
from recbole_intent.runs.evaluate import evaluate_run
from recbole_intent.runs.experiment import build, run
from recbole_intent.utils.errors import UserError


class Model(ControlsIntents):
    training = False


def test_the_controls():
    model, intents = Model(), torch.arange(12.0).view(3, 2, 2)
    assert model.exchanged(intents) is intents
    model.intent_control = "other"
    assert torch.equal(model.exchanged(intents), intents[[2, 0, 1]])
    with pytest.raises(UserError, match="a batch has a single user; give another --eval_batch"):
        model.exchanged(intents[:1])
    model.intent_control = "mean"
    assert torch.equal(model.exchanged(intents), intents.mean(0).expand(3, 2, 2))
    model.intent_control = "zero"
    assert not model.exchanged(intents).any()
    model.training = True  # learning reads the user's own
    assert model.exchanged(intents) is intents


@pytest.mark.parametrize("scope", ["prefix", "causal"])
def test_igrsr_ranks_otherwise(tiny, scope):
    scores = {}
    for control in ("own", "other", "mean", "zero"):
        trainer, data = build(tiny("IGRSR", intent_scope=scope, intent_control=control))
        torch.manual_seed(5)
        for parameter in trainer.model.eval().parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        (batch,) = data.test
        scores[control] = trainer.scores(batch.interaction, data.dataset.item_num)
    for one in scores:
        for other in scores:
            assert (one == other) == torch.equal(scores[one], scores[other])


def test_another_users_intents_are_those_of_their_whole_history(tiny):
    """In scope causal each position has intents; a longer history reads the other's last ones."""
    trainer, _ = build(tiny("IGRSR", intent_scope="causal"))
    model = trainer.model.eval()
    seq, length = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]), torch.tensor([4, 2])
    own = model.distil(seq, length)
    model.intent_control = "other"
    other = model.distil(seq, length)
    assert torch.equal(other[0, :2], own[1, :2])
    assert torch.equal(other[0, 3], own[1, 1])
    assert torch.equal(other[1, 0], own[0, 0])


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("SASRec", {}),
        ("IGRSR", {"use_lid": False}),
        ("VELI4SBR", {"intents": "none"}),
        ("ISRF", {}),  # its sequential prompts do not name the user
    ],
)
def test_a_model_without_intents_refuses(tiny, walks, model, options):
    make = walks if model == "VELI4SBR" else tiny
    with pytest.raises(UserError, match=f"intent_control: zero: {model}, as configured, ranks w"):
        build(make(model, intent_control="zero", **options))


def test_a_finished_run_is_evaluated_with_them(tiny_path, tmp_path):
    options = {"data_path": str(tiny_path), "checkpoint_dir": str(tmp_path), "device": "cpu"}
    options |= {"hidden_size": 8, "distiller_size": 8, "epochs": 1, "n_prefix": 2}
    done = run("IGRSR", "tiny", overrides=options)
    own = evaluate_run(done.folder, {"intent_control": "own"})
    assert own.test == done.result["test"]
    other = evaluate_run(done.folder, {"intent_control": "other"})
    assert len(other.ranks.user) == len(own.ranks.user)
    assert other.path != own.path
