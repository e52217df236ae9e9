"""Our LightGCN is RecBole's, weight for weight."""

import sys

import pytest
import torch
from recbole.model.general_recommender import LightGCN as RecBoleLightGCN

from recbole_intent.config.registry import get_spec
from recbole_intent.data.loading.split import load_data
from recbole_intent.utils.errors import UserError


@pytest.mark.parametrize("n_layers", [1, 3])
def test_losses_gradients_and_scores_are_recboles(config, n_layers):
    made = config("LightGCN", n_layers=n_layers, reg_weight=1e-2)
    data = load_data(made)
    train = data.train._dataset
    torch.manual_seed(3)
    theirs = RecBoleLightGCN(made, train)
    torch.manual_seed(3)
    ours = made.spec.model_class()(made, train)
    assert type(ours) is not type(theirs)
    weights = theirs.state_dict()
    assert ours.state_dict().keys() == weights.keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, weights[name])  # the same start from the same seed
    for parameter in (*ours.parameters(), *theirs.parameters()):
        parameter.data.mul_(3)  # scores far enough apart to tell models apart

    batch = next(iter(data.train))
    losses = [model.calculate_loss(batch) for model in (ours, theirs)]
    torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-5)
    for loss in losses:
        loss.backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.grad.abs().max() > 0
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-6, rtol=1e-5)

    rows = next(iter(data.test)).interaction
    with torch.no_grad():
        for score in ("full_sort_predict", "predict"):
            mine, other = (getattr(model.eval(), score)(rows) for model in (ours, theirs))
            assert mine.std() > 1e-3
            torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


def test_the_untouched_path_is_recboles_own_class(config):
    assert get_spec("LightGCN").model_class(fast=False) is RecBoleLightGCN
    assert config("LightGCN", fast_sequences=False)["model_class"].startswith("recbole.model")


def test_without_torch_geometric_the_extra_is_named(tiny, monkeypatch):
    made = tiny("LightGCN")
    data = load_data(made)
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    with pytest.raises(UserError, match=r"\(extra graph\): pip install torch-geometric"):
        made.spec.model_class()(made, data.train._dataset)
