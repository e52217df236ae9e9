"""LLM-ESR: its views, what a position may see, similar users, and a run that is killed."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.formats.text_vectors import read_text_vectors, vector_path
from recbole_intent.models.llmesr.model import CrossAttention
from recbole_intent.nn.dropout import FastDropout
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

NARROW = {"hidden_size": 8, "inner_size": 8, "n_layers": 1, "n_similar_users": 3}


@pytest.fixture
def make(tiny, monkeypatch):
    """A trainer with random weights and without dropout, its data, and a batch."""
    monkeypatch.setattr(FastDropout, "forward", lambda self, x: x)

    def make_model(**options):
        trainer, data = build(tiny("LLMESR", **{**NARROW, **options}))
        torch.manual_seed(3)
        for parameter in trainer.model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return trainer, data, next(iter(data.train))

    return make_model


def test_items_begin_as_principal_components_of_their_texts(tiny, tiny_path):
    model = build(tiny("LLMESR", **NARROW))[0].model
    z = torch.from_numpy(
        read_text_vectors(vector_path(tiny_path / "tiny", "tiny", "item", "llm", "fused")).vectors
    )
    items = model.item_table()[1:, :8]
    _, singular, _ = torch.linalg.svd(z - z.mean(0))
    torch.testing.assert_close(items.norm(dim=0), singular[:8], atol=1e-4, rtol=1e-4)
    assert items.mean(0).abs().max() < 1e-5


def test_cross_attention_is_the_plain_formula():
    torch.manual_seed(0)
    module, x, y = CrossAttention(6, 2), torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    mask = torch.full((4, 4), float("-inf")).triu(1)
    q, k, v = module.query(x), module.key(y), module.value(y)
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        logits = q[..., part] @ k[..., part].transpose(1, 2) / 3**0.5 + mask
        heads.append(logits.softmax(-1) @ v[..., part])
    expected = module.output(torch.cat(heads, -1))
    torch.testing.assert_close(module(x, y, mask), expected)


@pytest.mark.parametrize("backbone", ["SASRec", "GRU4Rec"])
def test_a_shared_pass_has_the_states_of_rows(make, backbone):
    """So no position sees its target, whatever reads it."""
    narrow = {} if backbone == "SASRec" else {"n_layers": 2}
    trainer, _, batch = make(backbone=backbone, **narrow)
    model = trainer.model.eval()
    seq, length = batch["item_id_list"], batch["item_length"]
    assert length.dim() == 2
    shared = model(seq, length)
    for row in range(3):
        for t, n in enumerate(length[row].tolist()):
            if n:
                alone = model(seq[row : row + 1, :n], torch.tensor([n]))[0]
                torch.testing.assert_close(shared[row, t], alone, atol=1e-5, rtol=1e-4)


def test_bert4rec_reads_whole_histories_without_their_padding(make):
    model = make(backbone="BERT4Rec")[0].model.eval()
    seq = torch.tensor([[3, 5, 7, 0, 0], [4, 4, 9, 2, 1]])
    length = torch.tensor([3, 5])
    alone = model(seq[:1, :3], length[:1])
    torch.testing.assert_close(model(seq, length)[:1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("passes", ["all", 1])
def test_users_are_drawn_to_the_mean_of_similar_ones(make, passes):
    trainer, data, batch = make(passes=passes, align_weight=0.5, next_item_loss="CE")
    trainer.before_epoch(0, data.train)
    model, train = trainer.model.eval(), data.train_dataset
    last = torch.from_numpy(train.last_samples())
    rows = train.rows(last, 8)
    h = {
        int(user): vector.detach()
        for user, vector in zip(
            rows["user_id"], model(rows["item_id_list"], rows["item_length"]), strict=True
        )
    }
    tokens = train.field2id_token["user_id"]
    expected = []
    seq, length = batch["item_id_list"], batch["item_length"]
    longest = length if length.dim() == 1 else length.amax(1)
    for row, user in enumerate(batch["user_id"].tolist()):
        number = int(tokens[user][1:])  # users' texts lie on a ring, by their number
        gaps = [
            (min((number - int(t[1:])) % 60, (int(t[1:]) - number) % 60), t) for t in tokens[1:]
        ]
        near = [t for gap, t in sorted(gaps)[1:3]]
        assert set(near) <= set(tokens[model.similar_users[user]])
        mean = torch.stack([h[int(v)] for v in model.similar_users[user]]).mean(0)
        own = model(seq[row : row + 1], longest[row : row + 1])[0]
        expected.append((own - mean).square().mean())
    rec, align = model.calculate_loss(batch)
    torch.testing.assert_close(align, 0.5 * torch.stack(expected).mean())
    hidden, target = model.encode_targets(batch)
    torch.testing.assert_close(rec, F.cross_entropy(hidden @ model.item_table().T, target))


def test_gradients_reach_all_that_learns(make):
    trainer, data, batch = make(item_weight=0.1, alignment="cl")
    trainer.before_epoch(0, data.train)
    parts = trainer.losses(batch)
    assert len(parts) == len(trainer.model.loss_names) == 3
    sum(parts).backward()
    for name, parameter in trainer.model.named_parameters():
        assert parameter.grad is not None, name


def test_missing_files_are_named_with_the_command(tiny, tiny_path, tmp_path):
    shutil.copytree(tiny_path / "tiny", tmp_path / "tiny")
    for kind in ("user", "item"):
        vector_path(tmp_path / "tiny", "tiny", kind, "llm", "fused").unlink()
        with pytest.raises(
            UserError,
            match=rf"tiny\.{kind}_text\.llm\.fused\.npz: no such file; --semantics=metadata, which "
            r"is there already, needs no language model; `recbole_intent enrich --for=LLMESR "
            r"--dataset=tiny --semantics=llm --llm\.model=MODEL --data_path=\S+` makes it$",
        ):
            build(tiny("LLMESR", data_path=str(tmp_path), **NARROW))
    assert build(tiny("LLMESR", data_path=str(tmp_path), semantics="metadata", **NARROW))
    with pytest.raises(UserError, match=r"`recbole_intent enrich --for=LLMESR .* makes those of"):
        build(
            tiny(
                "LLMESR",
                data_path=str(tmp_path),
                semantics="metadata",
                eval_args={"split": {"RS": [0.6, 0.2, 0.2]}},
                **NARROW,
            )
        )


def test_a_run_killed_on_its_way_goes_on_as_if_it_had_not_been(
    on_tiny, killed_run, ends_as_undisturbed
):
    options = {**on_tiny, **NARROW}
    folder = killed_run("LLMESR", options, "train 2/3", 1)
    ends_as_undisturbed("LLMESR", options, folder)
