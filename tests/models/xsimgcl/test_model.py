"""XSimGCL: its layers, its noise, its losses, and a run that is cut off."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.loading.split import load_data
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError


def _model(tiny, **options):
    made = tiny("XSimGCL", embedding_size=8, **options)
    data = load_data(made)
    torch.manual_seed(3)
    return made.spec.model_class()(made, data.train._dataset), data


def test_scores_are_of_the_mean_of_all_layers_but_the_first(tiny):
    model, _ = _model(tiny, n_layers=3)
    A = model.propagation._matrix("adjacency").to_dense()
    layers = [model.get_ego_embeddings()]
    for _ in range(3):
        layers.append(A @ layers[-1])
    plain = torch.stack(layers[1:]).mean(0)
    torch.testing.assert_close(torch.cat(model()), plain)


def test_noise_has_its_size_and_leaves_each_vector_in_its_orthant(tiny):
    model, _ = _model(tiny, n_layers=1, noise_size=0.3)
    (clean,), (noisy,) = model.layers(noisy=False), model.layers(noisy=True)
    seen = clean.abs().sum(1) > 0  # padding has no edge and no noise
    torch.testing.assert_close(
        (noisy - clean).norm(dim=1)[seen], torch.full((int(seen.sum()),), 0.3)
    )
    assert torch.equal(noisy[~seen], clean[~seen])
    assert torch.equal(noisy.sign(), clean.sign())
    assert not torch.equal(noisy, model.layers(noisy=True)[0])


def test_losses_are_those_of_the_paper(tiny):
    model, data = _model(tiny, n_layers=3, contrast_layer=2, noise_size=0.0, reg_weight=0.1)
    batch = next(iter(data.train))
    rec, reg, contrast = model.calculate_loss(batch)
    users, items = model()
    u, i, j = users[batch["user_id"]], items[batch["item_id"]], items[batch["neg_item_id"]]
    difference = (u * i).sum(1) - (u * j).sum(1)
    torch.testing.assert_close(rec, -F.logsigmoid(difference).mean(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(reg, 0.1 * (u.norm() + i.norm()) / len(u))
    views = model.layers(noisy=False)[1].split([model.n_users, model.n_items])
    expected = 0
    for whole, view, rows in ((users, views[0], "user_id"), (items, views[1], "item_id")):
        rows = batch[rows].unique()
        cosine = F.normalize(whole[rows], dim=1) @ F.normalize(view[rows], dim=1).T
        expected += F.cross_entropy(cosine / 0.15, torch.arange(len(rows)))
    torch.testing.assert_close(contrast, 0.2 * expected)


def test_gradients_are_those_of_the_dense_graph(tiny):
    model, data = _model(tiny)
    batch = next(iter(data.train))

    def gradients(step) -> list[torch.Tensor]:
        model.propagation.step = step
        model.zero_grad()
        torch.manual_seed(0)
        sum(model.calculate_loss(batch)).backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    A = model.propagation._matrix("adjacency").to_dense()
    sparse = gradients(model.propagation.step)
    for mine, plain in zip(sparse, gradients(lambda x: A @ x), strict=True):
        assert mine.abs().max() > 0
        torch.testing.assert_close(mine, plain, atol=1e-6, rtol=1e-4)


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tiny, tmp_path):
    options = {"embedding_size": 8, "epochs": 3}
    whole, data = build(tiny("XSimGCL", **options))
    whole.fit(data.train, data.valid)
    assert [*whole.history[0]["loss"]] == ["rec", "reg", "contrast"]
    first, data = build(tiny("XSimGCL", **options), tmp_path)
    first.epochs = 1
    first.fit(data.train, data.valid)
    second, data = build(tiny("XSimGCL", **options), tmp_path)
    second.fit(data.train, data.valid)
    assert [r["loss"] for r in second.history] == [r["loss"] for r in whole.history]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_a_layer_that_is_not_there_is_refused(tiny):
    with pytest.raises(UserError, match="contrast_layer: 3 is above n_layers: 2"):
        tiny("XSimGCL", contrast_layer=3)
