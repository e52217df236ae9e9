"""ELCRec: its centres learn, stay of length 1, and move as its loss says."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.models.elcrec.model import cluster_loss
from recbole_intent.runs.experiment import build

NARROW = {"hidden_size": 8, "inner_size": 8, "n_layers": 1, "num_clusters": 4, "kmeans_redo": 1}
OFF = {"instance_weight": 0, "intent_weight": 0, "cluster_weight": 0}


def test_the_cluster_loss_is_that_of_all_distances():
    generator = torch.Generator().manual_seed(1)
    s, centres = (torch.randn(n, 6, generator=generator).double() for n in (9, 5))
    plain = torch.cdist(s, centres).pow(2).mean() - torch.cdist(centres, centres).pow(2).mean()
    torch.testing.assert_close(cluster_loss(s, centres), plain)


@pytest.mark.parametrize("prototype", ["concat", "shift"])
@pytest.mark.parametrize("on", ["instance_weight", "intent_weight", "cluster_weight"])
def test_gradients_of_each_term_reach_encoder_and_centres(tiny, on, prototype):
    trainer, data = build(tiny("ELCRec", **{**NARROW, **OFF, on: 0.1}, prototype=prototype))
    trainer.before_epoch(0, data.train)
    parts = trainer.losses(next(iter(data.train)))
    assert trainer.model.loss_names == ("rec", on.removesuffix("_weight"))
    parts[1].backward()
    for name, parameter in trainer.model.named_parameters():
        assert parameter.grad is not None, name
        assert name.endswith("key.bias") or parameter.grad.abs().sum() > 0, name


def test_centres_begin_at_those_of_k_means_and_learn(tiny):
    trainer, data = build(tiny("ELCRec", epochs=2, **NARROW))
    given = []
    take = trainer.model.set_centres
    trainer.model.set_centres = lambda centres: given.append(centres) or take(centres)
    trainer.before_epoch(0, data.train)
    start = F.normalize(given[0], dim=1)
    assert torch.equal(trainer.model.centres.detach(), start)
    trainer.fit(data.train, data.valid)
    assert len(given) == 2  # and never again
    centres = trainer.model.centres.detach()
    assert (centres - start).abs().max() > 1e-3
    batch = next(iter(data.train))
    trainer.losses(batch)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(4))


def test_without_any_centre_in_the_loss_there_is_no_e_step(tiny):
    off = {"intent_weight": 0, "cluster_weight": 0, "prototype": "none"}
    trainer, data = build(tiny("ELCRec", **{**NARROW, **off}))
    before = trainer.model.centres.clone()
    trainer.before_epoch(0, data.train)
    assert torch.equal(trainer.model.centres, before)
    assert not trainer.model.centres.requires_grad
