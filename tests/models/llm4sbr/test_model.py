"""LLM4SBR: its graph is SR-GNN's, its losses, whose texts are read, and a run that is cut off."""

import shutil

import pytest
import torch
import torch.nn.functional as F
from recbole.model.sequential_recommender.srgnn import SRGNN

from recbole_intent.data.formats.intent_files import VECTORS
from recbole_intent.data.formats.text_vectors import read_text_vectors
from recbole_intent.data.loading.split import load_data
from recbole_intent.models.llm4sbr.model import aligned_and_uniform
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

SMALL = {"embedding_size": 8}


@pytest.fixture
def make(tiny):
    """A model, and a batch of rows of different lengths."""

    def make_model(**options):
        made = tiny("LLM4SBR", **{**SMALL, **options})
        train = load_data(made).train_dataset
        torch.manual_seed(3)
        model = made.spec.model_class()(made, train)
        return model, train.join(train.rows(torch.arange(0, len(train.inter_feat), 5)))

    return make_model


def test_the_graph_is_that_of_recboles_srgnn(make):
    model, batch = make(step=2)
    seq, length = batch["item_id_list"].clone(), batch["item_length"]
    seq[length > 3, 2] = seq[length > 3, 0]  # repeats
    _, h = model.views(seq, length)
    alias, graph, items, _ = SRGNN._get_slice(model, seq)
    hidden = model.gnn(graph, model.item_embedding(items))
    states = hidden.gather(1, alias[..., None].expand(-1, -1, 8))
    torch.testing.assert_close(h, model.gather_indexes(states, length - 1))


def _plain(x, y):
    x, y = F.normalize(x, dim=1), F.normalize(y, dim=1)
    uniform = [torch.pdist(v).square().mul(-2).exp().mean().log() for v in (x, y)]
    return (x - y).square().sum(1).mean() + sum(uniform) / 2


def test_alignment_and_uniformity_are_the_plain_formula():
    torch.manual_seed(0)
    x, y = torch.randn(7, 5), torch.randn(7, 5)
    torch.testing.assert_close(aligned_and_uniform(x, y), _plain(x, y))
    for n in (0, 1):
        assert torch.isfinite(aligned_and_uniform(x[:n], y[:n]))


def test_intents_teach_training_sessions_and_are_not_read_elsewhere(make, tiny, tiny_path):
    """Users u0 .. u39 of `tiny` have intents, by their number."""
    tokens = load_data(tiny("LLM4SBR", **SMALL)).train_dataset.field2id_token["user_id"]
    model, batch = make(text_weight=0.5)
    loss, text = model.calculate_loss(batch)
    seq, length = batch["item_id_list"], batch["item_length"]
    torch.testing.assert_close(
        loss, F.cross_entropy(model.full_sort_predict(batch), batch["item_id"])
    )
    names = ("slow steps", "middling steps", "a change")
    pool = read_text_vectors(tiny_path / "tiny" / f"tiny{VECTORS}")
    vector = dict(zip(pool.ids.tolist(), torch.from_numpy(pool.vectors), strict=True))
    long, short, known = [], [], []
    for row, user in enumerate(batch["user_id"].tolist()):
        number = int(tokens[user][1:])
        if number >= 40:
            continue
        each = torch.stack([vector[name] for name in {names[number % 2], names[number % 3]}])
        z = model.z[seq[row, length[row] - 1]]
        known.append(row)
        long.append(F.normalize(each.sum(0), dim=0))
        short.append(each[(each @ z).argmax()])
    assert 0 < len(known) < len(batch)
    a, h = (view[known] for view in model.views(seq, length))
    expected = _plain(a, model.text(torch.stack(long))) + _plain(h, model.text(torch.stack(short)))
    torch.testing.assert_close(text, 0.5 * expected)
    scores = model.full_sort_predict(batch)
    model.of_sessions.vectors.zero_()
    model.z.zero_()
    assert torch.equal(model.full_sort_predict(batch), scores)


def test_texts_of_all_sessions_are_those_of_their_items(make):
    model, batch = make(session_texts="all", text_weight=0.5)
    seq, length = batch["item_id_list"], batch["item_length"]
    a, h = model.views(seq, length)
    long, short = [], []
    for row, n in zip(seq, length.tolist(), strict=True):
        long.append(F.normalize(model.z[row[:n]].sum(0), dim=0))
        short.append(model.z[row[n - 1]])
    t_long, t_short = model.text(torch.stack(long)), model.text(torch.stack(short))
    mixed = [
        a * model.long_gate((a + t_long).sigmoid()),
        h * model.short_gate((h + t_short).sigmoid()),
    ]
    u = model.linear_transform(torch.cat(mixed, dim=1))
    torch.testing.assert_close(model(seq, length), u)
    loss, text = model.calculate_loss(batch)
    torch.testing.assert_close(text, 0.5 * (_plain(a, t_long) + _plain(h, t_short)))
    (loss + text).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    with pytest.raises(UserError, match="--explain: this LLM4SBR has no intents in words"):
        model.explain(batch, 3)


def test_explanation_is_the_nearest_intents(make):
    model, batch = make()
    a, _ = model.views(batch["item_id_list"], batch["item_length"])
    for row, intents in zip(a, model.explain(batch, 3), strict=True):
        cosine = F.cosine_similarity(row[None], model.text(model.of_sessions.vectors))
        assert intents[0].text == model.intents[cosine.argmax()]
        assert intents[0].weight == pytest.approx(max(0, cosine.max().item()), abs=1e-5)


def test_results_name_whose_texts_are_read(tiny):
    for which in ("train", "all"):
        trainer, data = build(tiny("LLM4SBR", session_texts=which, **SMALL))
        said = [line for line in trainer.deviations(data.train) if line.startswith("session_")]
        assert said == [
            f"session_texts: {which} (released: of a language model, of test sessions too)"
        ]


def test_missing_files_are_named_with_the_command(tiny, tiny_path, tmp_path):
    shutil.copytree(tiny_path / "tiny", tmp_path / "tiny")
    for name, words in (
        (f"tiny{VECTORS}", "--encoder=embedded .* makes it"),
        ("tiny.item_text.metadata.fused.npz", "--encoder=embedded .* makes it"),
        ("tiny.intent", "--dataset=tiny .* makes it"),
    ):
        (tmp_path / "tiny" / name).unlink()
        with pytest.raises(UserError, match=rf"`recbole_intent enrich --for=LLM4SBR .*{words}"):
            build(tiny("LLM4SBR", data_path=str(tmp_path), **SMALL))
    assert build(tiny("LLM4SBR", data_path=str(tmp_path), text_weight=0, **SMALL))


@pytest.mark.parametrize("which", ["train", "all"])
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tiny, resumes_exactly, which):
    resumes_exactly(tiny("LLM4SBR", epochs=3, session_texts=which, **SMALL))
