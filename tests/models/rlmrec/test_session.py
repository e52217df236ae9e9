"""RLMRec on session encoders: its alignments, its masks, and a run that is cut off."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.nn.dropout import FastDropout
from recbole_intent.runs.experiment import build

SMALL = {"hidden_size": 8, "inner_size": 8, "n_layers": 1}


@pytest.fixture
def make(tiny, monkeypatch):
    """A model with random weights and without dropout, and a batch."""
    monkeypatch.setattr(FastDropout, "forward", lambda self, x: x)

    def make_model(**options):
        trainer, data = build(tiny("RLMRecSeq", **{**SMALL, **options}))
        torch.manual_seed(3)
        for parameter in trainer.model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return trainer.model, next(iter(data.train))

    return make_model


@pytest.mark.parametrize("passes", ["all", 1])
@pytest.mark.parametrize("variant", ["con", "gen"])
def test_losses_are_the_plain_formulas(make, variant, passes):
    model, batch = make(variant=variant, passes=passes, text_weight=0.5, temperature=0.3)
    model.eval()  # without masks
    h, target = model.encode_targets(batch)
    rec, text = model.calculate_loss(batch)
    table = model.item_table()
    torch.testing.assert_close(rec, F.cross_entropy(h @ table.T, target))
    session = batch["user_id"]
    if passes == 1:
        counts = (batch["item_id"] > 0).sum(1)
        session = session.repeat_interleave(counts)
    expected = 0
    sides = ((h, session, model.z[: model.n_sessions]), (None, target, model.z[model.n_sessions :]))
    for x, which, z in sides:
        distinct = sorted(set(which.tolist()))
        own = which if x is not None else torch.tensor(distinct)
        x = table[distinct] if x is None else x
        z = z[distinct]
        x, z = (model.mlp(x), z) if variant == "gen" else (x, model.mlp(z))
        cosine = F.normalize(x, dim=1) @ F.normalize(z, dim=1).T
        labels = torch.tensor([distinct.index(name) for name in own.tolist()])
        expected += F.cross_entropy(cosine / 0.3, labels)
    torch.testing.assert_close(text, 0.5 * expected)


def test_histories_are_masked_in_training_alone(make):
    model, batch = make(variant="gen", mask_ratio=1.0)
    seq, length = batch["item_id_list"], batch["item_length"]
    others = torch.where(seq > 0, 1 + seq % 7, 0)
    assert torch.equal(model.train()(seq, length), model(others, length))
    assert not torch.equal(model.eval()(seq, length), model(others, length))
    sum(model.train().calculate_loss(batch)).backward()
    assert model.mask_vector.grad.any()


@pytest.mark.parametrize("variant", ["con", "gen"])
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tiny, resumes_exactly, variant):
    resumes_exactly(tiny("RLMRecSeq", epochs=3, variant=variant, **SMALL))
