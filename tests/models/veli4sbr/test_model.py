"""VELI4SBR as a whole: its losses, its ablations, what learns, what it tells."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.formats.text_vectors import read_text_vectors, vectors_for
from recbole_intent.data.loading.split import load_data
from recbole_intent.modeling.explain import ExplainsIntents
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

SMALL = {"hidden_size": 16, "inner_size": 16, "initializer_range": 0.3, "intent_weight": 0.5}


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Vectors of `tiny`'s items."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.npz"
    rng = np.random.default_rng(0)
    np.savez(path, item=[f"i{i}" for i in range(40)], vector=rng.normal(size=(40, 12)))
    return path


@pytest.fixture
def make(tiny, vectors):
    """A model on `tiny` with large weights, and a batch of it: rows, or shared passes."""

    def make_model(**options):
        if options.get("llm_embedding"):
            options["item_vectors"] = str(vectors)
        config = tiny("VELI4SBR", **SMALL, **options)
        model_class = config.spec.model_class()
        data = load_data(config, model_class.shares_passes(config))
        torch.manual_seed(0)
        model = model_class(config, data.train._dataset)
        return model, next(iter(data.train))

    return make_model


VARIANTS = [
    {},
    {"backbone": "BERT4Rec"},
    {"backbone": "GRU4Rec"},
    {"passes": 1},
    {"backbone": "GRU4Rec", "passes": 2, "loss_type": "CE"},
    {"llm_embedding": True},
    {"llm_embedding": True, "backbone": "BERT4Rec"},
    {"llm_embedding": True, "loss_type": "CE", "passes": 1},
    {"intents": "none"},
    {"intents": "none", "backbone": "BERT4Rec", "loss_type": "CE"},
    {"intents": "none", "fusion_without_intents": True},
    {"intents": "none", "fusion_without_intents": True, "passes": 1, "llm_embedding": True},
    {"decoupling": "orthogonal"},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_gradients_reach_all_that_learns(make, options):
    model, batch = make(**options)
    losses = model.train().calculate_loss(batch)
    assert len(losses) == len(model.loss_names)
    sum(losses).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_scores_are_products_with_the_table_and_alike_in_both_ways(make, options):
    model, batch = make(**options | {"passes": "all"})
    with torch.no_grad():
        scores = model.eval().full_sort_predict(batch)
        h = model(batch["item_id_list"], batch["item_length"])
        everything = model.item_vectors(torch.arange(model.n_items))
    assert scores.shape == (len(batch), 41)
    torch.testing.assert_close(scores, h @ everything.T)
    target = batch["item_id"]
    torch.testing.assert_close(model.predict(batch), scores.gather(1, target[:, None])[:, 0])


def test_losses_are_as_defined(make):
    options = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, "decouple_weight": 0.2}
    model, batch = make(**options)
    torch.manual_seed(3)
    rec, intent, decouple = model.calculate_loss(batch)
    user, target = batch["user_id"], batch["item_id"]
    h = model.encode(batch["item_id_list"], batch["item_length"])
    h_tilde, logits = model.fusion(h)
    table, y_hat = model.item_table(), logits.sigmoid()
    torch.manual_seed(3)
    negative = model.negatives(target, user)
    positive = (h_tilde * table[target]).sum(1).sigmoid().log()
    others = sum((1 - (h_tilde * table[negative[:, i]]).sum(1).sigmoid()).log() for i in range(2))
    torch.testing.assert_close(rec, -(positive + others).mean())
    y, has_labels = model.labels.of(user)
    assert 0 < has_labels.sum() < len(user)
    bce = F.binary_cross_entropy(y_hat, y, reduction="none").mean(1)
    torch.testing.assert_close(intent, 0.5 * (bce * has_labels).sum() / len(user))
    unit = F.normalize(model.fusion.intents, dim=1)
    distance = torch.cdist(unit, unit).square().sum() / 6
    torch.testing.assert_close(decouple, -0.2 * distance)


def test_cross_entropy_is_over_all_items(make):
    options = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, "loss_type": "CE"}
    for passes in ("all", 1):
        model, batch = make(passes=passes, **options)
        hidden, target = model.encode_targets(batch)
        expected = F.cross_entropy(hidden @ model.item_table().T, target)
        torch.testing.assert_close(model.calculate_loss(batch)[0], expected)


def test_shared_passes_have_the_intent_loss_of_rows(make):
    """Each target of a pass has the labels of its own session."""
    options = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, "train_batch_size": 10_000}
    losses = []
    for passes in ("all", 1):
        model, batch = make(passes=passes, **options)
        torch.manual_seed(0)
        losses.append(model.calculate_loss(batch)[1:])
    torch.testing.assert_close(losses[0], losses[1])


def test_negatives_are_others_than_the_target_and_hard_where_there_are(make):
    model, _ = make()
    labels = model.labels
    user = torch.arange(1, 61)
    count = labels.hard_count[labels.row_of[user]]
    target = torch.randint(1, 41, (60,))
    seen = torch.zeros(60, 2, 41, dtype=torch.bool)
    for _ in range(400):
        drawn = model.negatives(target, user)
        assert ((drawn != target[:, None]) & (drawn > 0) & (drawn < 41)).all()
        seen.scatter_(2, drawn[..., None], True)
    assert 0 < (count > 0).sum() < 60
    every = torch.ones(60, 40, dtype=torch.bool).scatter(1, target[:, None] - 1, False)
    assert torch.equal(seen[:, 0, 1:], every)
    for u in range(60):
        first = int(labels.hard_first[labels.row_of[u + 1]])
        hard = set(labels.hard_items[first : first + int(count[u])].tolist())
        drawn = set(seen[u, 1].nonzero().flatten().tolist())
        # Where a hard negative is this very target, a random item stands in.
        assert (drawn == hard) if hard and int(target[u]) not in hard else (len(drawn) == 39)
    assert (model.negatives(target, None) != target[:, None]).all()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"intent_weight": 0}, ("rec", "decouple")),
        ({"decouple_weight": 0.0}, ("rec", "intent")),
        ({"intent_weight": 0.0, "decouple_weight": 0}, ("rec",)),
        ({"intents": "none"}, ("rec",)),
    ],
)
def test_a_weight_of_zero_takes_its_loss_away(make, tiny, options, left):
    model, batch = make(**{key: value for key, value in options.items() if key == "intents"})
    model.intent_weight = options.get("intent_weight", 0.5)
    model.decouple_weight = options.get("decouple_weight", 1e-3)
    config = tiny("VELI4SBR", **{**SMALL, **options})
    made = config.spec.model_class()(config, load_data(config).train._dataset)
    assert made.loss_names == left
    torch.manual_seed(0)
    found = model.eval().calculate_loss(batch)
    assert len(found) == len(left)
    if "intents" in options:
        return
    whole, _ = make()
    torch.manual_seed(0)
    terms = dict(zip(whole.loss_names, whole.eval().calculate_loss(batch), strict=True))
    for name, value in zip(left, found, strict=True):  # nothing else is moved by it
        torch.testing.assert_close(value, terms[name])


def test_without_intents_it_is_the_backbone(make):
    model, batch = make(intents="none")
    model.eval()
    h = model(batch["item_id_list"], batch["item_length"])
    assert torch.equal(h, model.backbone(batch["item_id_list"], batch["item_length"]))
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"backbone"}


def test_texts_stay_frozen_and_fill_half_of_each_vector(make, tiny, vectors):
    model, batch = make(llm_embedding=True)
    assert "text.vectors" not in dict(model.named_parameters())
    assert model.item_table().shape == (41, 16)
    assert model.backbone.item_embedding.weight.shape == (41, 8)
    h = model.eval().encode(batch["item_id_list"], batch["item_length"])
    before = h.clone()
    with torch.no_grad():
        model.text.mlp[2].bias += torch.randn(8)
    h = model.encode(batch["item_id_list"], batch["item_length"])
    torch.testing.assert_close(h[:, :8], before[:, :8])
    assert (h[:, 8:] - before[:, 8:]).abs().amax(1).min() > 1e-3
    item = model.text.vectors[int((batch["item_id"])[0])]
    assert np.abs(item.numpy() - np.load(vectors)["vector"]).sum(1).min() < 1e-5


def test_loss_falls_on_a_toy(make):
    model, batch = make(hidden_dropout_prob=0.0, attn_dropout_prob=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        torch.manual_seed(0)
        parts = model.calculate_loss(batch)
        optimizer.zero_grad()
        sum(parts).backward()
        optimizer.step()
        losses.append([part.item() for part in parts])
    assert losses[-1][0] < 0.3 * losses[0][0]
    assert losses[-1][1] < 0.5 * losses[0][1]
    assert losses[-1][2] < losses[0][2]


def test_it_tells_its_intents_in_words(tiny):
    trainer, data = build(tiny("VELI4SBR", **SMALL))
    model = trainer.model.eval()
    assert isinstance(model, ExplainsIntents)
    batch = next(iter(data.train))
    told = model.explain(batch, 3)
    assert len(told) == len(batch)
    y_hat = model.fusion(model.encode(batch["item_id_list"], batch["item_length"]))[1].sigmoid()
    for row, intents in zip(y_hat.tolist(), told, strict=True):
        assert [intent.weight for intent in intents] == pytest.approx(sorted(row, reverse=True))
        for intent in intents:
            assert intent.weight == pytest.approx(row[model.intents.index(intent.text)])
            assert intent.items == ()
    keys, queries, probability = model.intent_space(batch["item_id_list"], batch["item_length"])
    torch.testing.assert_close(probability, y_hat)
    torch.testing.assert_close((queries @ keys.T).sigmoid(), y_hat)


def test_vectors_beside_the_dataset_are_found(tiny, tiny_path):
    """Those that `enrich` leaves; `tiny` has some."""
    trainer, data = build(tiny("VELI4SBR", **SMALL, llm_embedding=True))
    vectors = read_text_vectors(tiny_path / "tiny/tiny.item_text.metadata.fused.npz")
    expected = vectors_for(vectors, data.dataset.field2id_token["item_id"])
    np.testing.assert_array_equal(trainer.model.text.vectors.numpy(), expected)


def test_without_intents_there_is_nothing_to_tell(make):
    model, batch = make(intents="none")
    for ask in (
        lambda: model.explain(batch, 1),
        lambda: model.intent_space(batch["item_id_list"], batch["item_length"]),
    ):
        with pytest.raises(UserError, match="has no intents"):
            ask()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoupling": "cosine"}, "decoupling: 'cosine' is not one of paper, orthogonal"),
        ({"fusion_without_intents": True}, "fusion_without_intents: True must be False unless"),
        ({"loss_type": "BPR"}, "loss_type: 'BPR' is not one of BCE2, CE"),
        ({"enrich_scope": "some"}, "enrich_scope"),
        ({"intent_threshold": 1.5}, "intent_threshold"),
        ({"intent_share": -0.1}, "intent_share"),
        ({"intent_weight": -1}, "intent_weight"),
        ({"decouple_weight": -1}, "decouple_weight"),
        ({"n_neighbors": -1}, "n_neighbors"),
        ({"n_neighbors": 2.5}, "n_neighbors"),
        ({"enrich_every": 0}, "enrich_every"),
        ({"backbone": "Caser"}, "backbone"),
        ({"llm_embedding": True, "item_vectors": None}, "item_vectors: None must be auto or"),
        ({"llm_embedding": True, "item_vectors": "x.npz"}, "x.npz: no such file of item vectors"),
        ({"llm_embedding": True, "hidden_size": 15, "n_heads": 1}, "hidden_size: 15 must be even"),
    ],
)
def test_wrong_properties_are_named(tiny, options, message):
    with pytest.raises(UserError, match=message):
        build(tiny("VELI4SBR", **{**SMALL, **options}))


def test_the_control_is_veli4sbr_without_intents_and_not_the_backbone(make):
    control, batch = make(intents="none", fusion_without_intents=True)
    closed, _ = make(intent_threshold=1.0)
    backbone, _ = make(intents="none")
    for model in (closed, backbone):
        model.backbone.load_state_dict(control.backbone.state_dict())
    rows = batch["item_id_list"], batch["item_length"]
    h_tilde = control.eval()(*rows)
    torch.testing.assert_close(h_tilde, closed.eval()(*rows))
    assert not torch.allclose(h_tilde, backbone.eval()(*rows))
