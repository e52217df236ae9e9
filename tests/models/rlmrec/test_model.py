"""RLMRec: its graph, both alignments, and a run that is killed."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.formats.text_vectors import read_text_vectors, vector_path
from recbole_intent.data.loading.split import load_data
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

SMALL = {"embedding_size": 8, "train_batch_size": 64}


def _model(tiny, **options):
    made = tiny("RLMRec", **{**SMALL, **options})
    data = load_data(made)
    torch.manual_seed(3)
    return made.spec.model_class()(made, data.train._dataset), data


def _dense(model, value=None):
    return model.propagation._matrix("adjacency", value).to_dense()


def _sum_of_layers(model, A, x):
    layers = [x]
    for _ in range(model.n_layers):
        layers.append(A @ layers[-1])
    return sum(layers)


def test_scores_are_of_the_sum_of_all_layers(tiny):
    model, data = _model(tiny)
    plain = _sum_of_layers(model, _dense(model), model.get_ego_embeddings())
    torch.testing.assert_close(torch.cat(model()), plain)
    batch = next(iter(data.train))
    users, items = plain.split([model.n_users, model.n_items])
    scores = model.full_sort_predict(batch).view(len(batch), -1)
    torch.testing.assert_close(scores, users[batch["user_id"]] @ items.T)


def test_edges_are_dropped_both_ways(tiny):
    model, _ = _model(tiny, keep_rate=0.7)
    whole, kept = _dense(model), _dense(model, model.kept_edges())
    assert torch.equal(kept, kept.T)
    assert torch.equal(kept[kept > 0], whole[kept > 0])
    share = (kept > 0).sum() / (whole > 0).sum()
    assert 0.6 < share < 0.8


def _agree(x, table, own, temperature):
    cosine = F.normalize(x, dim=1) @ F.normalize(table, dim=1).T
    return F.cross_entropy(cosine / temperature, own)


def test_contrast_is_that_of_the_paper(tiny, tiny_path):
    model, data = _model(tiny, keep_rate=1, text_weight=0.5, temperature=0.3, reg_weight=0.1)
    batch = next(iter(data.train))
    rec, reg, text = model.calculate_loss(batch)
    user, item, other = (batch[name] for name in ("user_id", "item_id", "neg_item_id"))
    users, items = model()
    u, i, j = users[user], items[item], items[other]
    torch.testing.assert_close(rec, -F.logsigmoid((u * i).sum(1) - (u * j).sum(1)).mean())
    torch.testing.assert_close(reg, 0.1 * sum(p.square().sum() for p in model.parameters()))
    texts = {}
    for kind in ("user", "item"):
        file = read_text_vectors(vector_path(tiny_path / "tiny", "tiny", kind, "llm", "fused"))
        row_of = {name: row for row, name in enumerate(file.ids)}
        tokens = data.train._dataset.field2id_token[f"{kind}_id"][1:]
        texts[kind] = model.mlp(torch.from_numpy(file.vectors[[row_of[t] for t in tokens]]))
    own = torch.arange(len(user))
    expected = (
        _agree(u, texts["user"], user - 1, 0.3)
        + _agree(i, texts["item"][item - 1], own, 0.3)
        + _agree(j, texts["item"][other - 1], own, 0.3)
    )
    torch.testing.assert_close(text, 0.5 * expected)


def test_masked_nodes_reconstruct_their_texts(tiny):
    model, data = _model(tiny, variant="gen", keep_rate=1, text_weight=0.5, mask_ratio=0.2)
    with torch.no_grad():
        model.mask_vector.normal_()
    batch = next(iter(data.train))
    torch.manual_seed(8)
    rec, _, text = model.calculate_loss(batch)
    torch.manual_seed(8)
    x, nodes = model.masked(model.get_ego_embeddings())
    assert len(nodes.unique()) == len(nodes) == int(0.2 * (model.n_users + model.n_items - 2))
    assert not {0, model.n_users} & set(nodes.tolist())
    assert (x[nodes] == model.mask_vector).all()
    others = torch.ones(len(x), dtype=torch.bool)
    others[nodes] = False
    assert torch.equal(x[others], model.get_ego_embeddings()[others])
    E = _sum_of_layers(model, _dense(model), x)
    expected = _agree(model.mlp(E[nodes]), model.z[nodes], torch.arange(len(nodes)), 0.2)
    torch.testing.assert_close(text, 0.5 * expected)
    users, items = E.split([model.n_users, model.n_items])
    u, i, j = users[batch["user_id"]], items[batch["item_id"]], items[batch["neg_item_id"]]
    torch.testing.assert_close(rec, -F.logsigmoid((u * i).sum(1) - (u * j).sum(1)).mean())
    (rec + text).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("task", ["next-item", "direct"])
def test_a_run_without_texts_needs_no_file(tiny, tiny_path, tmp_path, task):
    shutil.copytree(tiny_path / "tiny", tmp_path / "tiny")
    vector_path(tmp_path / "tiny", "tiny", "user", "llm", "fused").unlink()
    options = {"data_path": str(tmp_path), "epochs": 1, "task": task, "n_candidates": 9, **SMALL}
    options["checkpoint_dir"] = str(tmp_path / "saved")
    with pytest.raises(UserError, match=r"`recbole_intent enrich --for=RLMRec .*=llm .* makes it"):
        build(tiny("RLMRec", **options))
    for more in ({"text_weight": 0}, {"semantics": "metadata"}):
        trainer, data = build(tiny("RLMRec", **options, **more))
        assert trainer.fit(data.train, data.valid)[0] > 0


def test_vectors_of_two_encoders_are_refused(tiny, tiny_path, tmp_path):
    from dataclasses import replace

    from recbole_intent.data.formats.text_vectors import write_text_vectors

    shutil.copytree(tiny_path / "tiny", tmp_path / "tiny")
    path = vector_path(tmp_path / "tiny", "tiny", "user", "llm", "fused")
    write_text_vectors(path, replace(read_text_vectors(path), encoder="another"))
    with pytest.raises(UserError, match=r"its vectors are of another, those of .* of waves"):
        build(tiny("RLMRec", data_path=str(tmp_path), **SMALL))


@pytest.mark.parametrize("variant", ["con", "gen"])
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tiny, resumes_exactly, variant):
    resumes_exactly(tiny("RLMRec", epochs=3, variant=variant, **SMALL))
