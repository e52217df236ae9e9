"""ICLRec: what learns, and the centres of its contrast; the rest is in tests/modeling."""

import pytest
import torch

from recbole_intent.nn.kmeans import nearest_centre
from recbole_intent.runs.experiment import build

NARROW = {"hidden_size": 8, "inner_size": 8, "n_layers": 1, "num_clusters": 4, "kmeans_redo": 1}


@pytest.mark.parametrize("off", ["instance_weight", "intent_weight"])
def test_gradients_reach_all_that_learns_and_no_centre(tiny, off):
    trainer, data = build(tiny("ICLRec", **{**NARROW, off: 0}))
    trainer.before_epoch(0, data.train)
    parts = trainer.losses(next(iter(data.train)))
    assert len(parts) == len(trainer.model.loss_names) == 2
    parts[1].backward()
    for name, parameter in trainer.model.named_parameters():
        assert parameter.grad is not None, name
    assert not trainer.model.centres.requires_grad


def test_the_intent_of_a_row_is_the_centre_of_its_own_history(tiny, monkeypatch):
    trainer, data = build(tiny("ICLRec", hidden_dropout_prob=0.0, attn_dropout_prob=0.0, **NARROW))
    trainer.before_epoch(0, data.train)
    model, batch, seen = trainer.model, next(iter(data.train)), []

    def contrast(views, centre, cluster):
        seen.append((centre, cluster))
        return torch.zeros(())

    monkeypatch.setattr(model, "intent_contrast", contrast)
    trainer.losses(batch)
    ((centre, cluster),) = seen
    s = model.sequence_vectors(batch["item_id_list"], batch["item_length"].amax(1))
    assert torch.equal(cluster, nearest_centre(s, model.centres))
    torch.testing.assert_close(centre.norm(dim=1), torch.ones(len(centre)))
    cosine = torch.nn.functional.cosine_similarity(centre, model.centres[cluster])
    torch.testing.assert_close(cosine, torch.ones(len(centre)))
