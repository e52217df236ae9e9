"""IGR-SR as a whole: scopes, ablations, what learns and what stays frozen."""

import pytest
import torch

from recbole_intent.models.igrsr.model import IGRSR
from recbole_intent.utils.errors import UserError

N_ITEMS, N = 40, 6
CONFIG = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "item_length",
    "NEG_PREFIX": "neg_",
    "MAX_ITEM_LIST_LENGTH": 8,
    "item_vectors": None,
    "device": "cpu",
    "n_layers": 2,
    "n_heads": 2,
    "hidden_size": 16,
    "inner_size": 32,
    "hidden_dropout_prob": 0.2,
    "attn_dropout_prob": 0.2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.3,
    "norm": "paper",
    "positions": "start",
    "loss_type": "CE",
    "use_lid": True,
    "n_prefix": 4,
    "n_intents": 3,
    "distiller_size": 8,
    "distiller_dropout_prob": 0.5,
    "intent_scope": "prefix",
    "fusion": "cross",
    "intent_dropout_prob": 0.0,
    "use_icr": True,
    "p_mask": 0.3,
    "icr_weight": 0.1,
    "icr_temperature": 0.1,
    "icr_views": "masks",
    "icr_main": "separate",
    "icr_share": 1.0,
    "icr_rescale": False,
    "item_init": "random",
    "intent_norm": "none",
    "distiller_folds": 1,
    "cross_attn_dropout_prob": None,
}


class _Dataset:
    def num(self, field):
        return N_ITEMS


def _model(**options) -> IGRSR:
    torch.manual_seed(0)
    return IGRSR(CONFIG | options, _Dataset())


def _rows() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    length = torch.tensor([6, 2, 4, 1, 5])
    item_seq = torch.randint(1, N_ITEMS, (5, N)) * (torch.arange(N) < length[:, None])
    return {
        "user_id": torch.tensor([1, 2, 1, 3, 4]),
        "item_id_list": item_seq,
        "item_length": length,
        "item_id": torch.randint(1, N_ITEMS, (5,)),
    }


def _shared() -> dict[str, torch.Tensor]:
    batch = _rows()
    batch["item_length"] = torch.tensor([[6, 3, 1], [2, 0, 0], [4, 2, 0], [1, 0, 0], [2, 5, 0]])
    items = torch.randint(1, N_ITEMS, (5, 3))
    return batch | {"item_id": items * (batch["item_length"] > 0)}


VARIANTS = [
    {},
    {"intent_scope": "causal"},
    {"norm": "sasrec"},
    {"fusion": "concat"},
    {"use_lid": False},
    {"use_lid": False, "icr_views": "dropout"},
    {"use_icr": False},
    {"icr_views": "dropout", "icr_main": "view"},
    {"icr_main": "view", "icr_share": 0.5},
    {"icr_main": "view", "intent_scope": "causal"},
    {"icr_share": 0.5, "intent_scope": "causal", "intent_dropout_prob": 0.2},
    {"icr_main": "view", "icr_rescale": True, "intent_norm": "layer"},
    {"cross_attn_dropout_prob": 0.0, "item_init": "auto"},
    {"distiller_folds": 2},
    {"distiller_folds": 5, "intent_scope": "causal"},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("batch", [_rows(), _shared()], ids=["rows", "shared"])
def test_gradients_reach_all_that_learns_and_nothing_frozen(options, batch):
    model = _model(**options).train()
    losses = model.calculate_loss(batch)
    assert len(losses) == len(model.loss_names)
    sum(losses).backward()
    for name, parameter in model.named_parameters():
        is_frozen = "encoder." in name and "distiller" in name
        assert (parameter.grad is None) == is_frozen, name
        assert parameter.requires_grad != is_frozen, name
    if model.use_lid:
        assert not any(module.training for module in model.distiller.encoder.modules())


@pytest.mark.parametrize("options", VARIANTS[:5], ids=str)
def test_shared_equals_rows_without_dropout(options):
    model, batch = _model(**options).eval(), _shared()
    together = model(batch["item_id_list"], batch["item_length"])
    for t in range(3):
        length = batch["item_length"][:, t]
        real = length > 0
        alone = model(batch["item_id_list"][real], length[real])
        torch.testing.assert_close(together[real, t], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", VARIANTS[:5], ids=str)
def test_later_items_and_padding_do_not_matter(options):
    model, batch = _model(**options).eval(), _rows()
    item_seq, length = batch["item_id_list"], batch["item_length"]
    scribbled = torch.where(torch.arange(N) < length[:, None], item_seq, 7)
    wider = torch.nn.functional.pad(item_seq, (0, 2))
    expected = model(item_seq, length)
    for other in (scribbled, wider):
        torch.testing.assert_close(model(other, length), expected, atol=1e-5, rtol=1e-4)


def test_causal_position_reads_the_intents_of_its_prefix():
    model, batch = _model(intent_scope="causal").eval(), _rows()
    item_seq, length = batch["item_id_list"], batch["item_length"]
    T_D = model.distil(item_seq, length)  # (B, n, m, d)
    model.intent_scope = "prefix"
    for j in range(1, N + 1):
        rows = length >= j
        alone = model.distil(item_seq[rows], torch.full((int(rows.sum()),), j))
        torch.testing.assert_close(T_D[rows, j - 1], alone, atol=1e-5, rtol=1e-4)


def test_scopes_agree_on_a_history_of_one_item():
    """With one item, its prefix is the history; both scopes have the same weights."""
    prefix, causal = _model().eval(), _model(intent_scope="causal").eval()
    causal.load_state_dict(prefix.state_dict())
    item_seq, length = torch.tensor([[3], [9]]), torch.tensor([1, 1])
    torch.testing.assert_close(prefix(item_seq, length), causal(item_seq, length))


def test_intents_matter():
    model, batch = _model().eval(), _rows()
    before = model.full_sort_predict(batch)
    assert before.shape == (5, N_ITEMS)
    with torch.no_grad():
        model.distiller.prefix += torch.randn_like(model.distiller.prefix)
    assert not torch.allclose(before, model.full_sort_predict(batch), atol=1e-4)


def test_losses_are_as_defined():
    """Without dropout and masks the views are equal; users of one id are no negatives."""
    options = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, "p_mask": 0.0}
    model, batch = _model(**options).train(), _rows()
    rec, icr = model.calculate_loss(batch)
    h_u = model(batch["item_id_list"], batch["item_length"])
    logits = h_u @ model.item_embedding.weight.T
    torch.testing.assert_close(rec, torch.nn.functional.cross_entropy(logits, batch["item_id"]))
    unit = torch.nn.functional.normalize(h_u, dim=1)
    similarity = unit @ unit.T / 0.1
    similarity[0, 2] = similarity[2, 0] = float("-inf")  # user 1
    expected = torch.nn.functional.cross_entropy(similarity, torch.arange(5))
    torch.testing.assert_close(icr, 0.1 * expected, atol=1e-5, rtol=1e-4)


def test_loss_falls_on_a_toy():
    model, batch = _model(hidden_dropout_prob=0.0, attn_dropout_prob=0.0).train(), _rows()
    frozen = {name: p.clone() for name, p in model.distiller.encoder.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = sum(model.calculate_loss(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    for name, value in model.distiller.encoder.state_dict().items():
        assert torch.equal(value, frozen[name]), name


def test_distiller_loads_weights_of_its_own_shape_only():
    model, other = _model(), _model(distiller_size=16)
    state = {name: value + 1 for name, value in model.distiller.encoder.state_dict().items()}
    model.load_distiller(state)
    assert torch.equal(model.distiller.encoder.LayerNorm.weight, state["LayerNorm.weight"])
    assert not model.distiller.encoder.item_embedding.weight.requires_grad
    with pytest.raises(UserError, match="distiller_size"):
        other.load_distiller(state)
    with pytest.raises(UserError, match="use_lid"):
        _model(use_lid=False).load_distiller(state)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"fusion": "concat", "intent_scope": "causal"}, "concat"),
        ({"norm": "pre"}, "norm"),
        ({"loss_type": "BPR"}, "loss_type"),
        ({"p_mask": 1.5}, "p_mask"),
        ({"icr_share": 0}, "icr_share"),
        ({"intent_norm": "batch"}, "intent_norm"),
        ({"distiller_folds": 0}, "distiller_folds"),
        ({"cross_attn_dropout_prob": 1.5}, "cross_attn_dropout_prob"),
        ({"item_init": "zeros"}, "item_init"),
        ({"item_init": "distiller", "distiller_size": 32}, "distiller_size"),
        ({"distiller_size": 32}, "item_init.* auto .*distiller_size"),
        ({"distiller_size": 7}, "distiller_size"),
    ],
)
def test_wrong_properties_are_named(config, options, word):
    with pytest.raises(UserError, match=word):
        config("IGRSR", **{"hidden_size": 16, "distiller_size": 16, **options})


def test_item_init_copies_the_distillers_items_and_leaves_the_rest() -> None:
    random, copied = _model(), _model(item_init="distiller")
    state = random.distiller.encoder.state_dict()
    for model in (random, copied):
        model.load_distiller(state)
    d_l = CONFIG["distiller_size"]
    given = state["item_embedding.weight"]
    assert torch.equal(copied.item_embedding.weight[:, :d_l], given)
    assert torch.equal(copied.item_embedding.weight[:, d_l:], random.item_embedding.weight[:, d_l:])
    assert not torch.equal(random.item_embedding.weight[:, :d_l], given)


def test_item_init_serves_the_ablation_without_intents_too() -> None:
    state = _model().distiller.encoder.state_dict()
    bare = _model(item_init="distiller", use_lid=False)
    assert bare.needs_distiller
    bare.load_distiller(state)
    d_l = CONFIG["distiller_size"]
    assert torch.equal(bare.item_embedding.weight[:, :d_l], state["item_embedding.weight"])
    assert not _model(use_lid=False).needs_distiller
    assert not _model(use_lid=False, item_init="auto").needs_distiller
    assert _model(item_init="auto").item_init == "distiller"


@pytest.mark.parametrize("rescale", [False, True])
def test_a_rescaled_view_has_the_expected_size_of_what_a_test_reads(rescale) -> None:
    model, batch = _model(icr_main="view", icr_rescale=rescale, p_mask=0.3), _rows()
    T_D = model.distil(batch["item_id_list"], batch["item_length"])
    views = torch.stack([model._view(T_D) for _ in range(4000)])
    expected = T_D if rescale else 0.7 * T_D
    error = (views.mean(dim=0) - expected).abs().max() / T_D.abs().max()
    assert error < 0.05


def test_each_user_is_read_by_the_distiller_of_its_fold() -> None:
    model, batch = _model(distiller_folds=2).eval(), _rows()
    item_seq, length, user = batch["item_id_list"], batch["item_length"], batch["user_id"]
    T_D = model.distil(item_seq, length, user)
    for f, (distiller, projection) in enumerate(
        ((model.distiller, model.projection), (*model.other_distillers, *model.other_projections))
    ):
        rows = user % 2 == f
        torch.testing.assert_close(T_D[rows], projection(distiller(item_seq, length))[rows])
    scores = model.full_sort_predict(batch)
    new = {key: value for key, value in batch.items() if key != "user_id"}
    is_first = user % 2 == 0
    torch.testing.assert_close(model.full_sort_predict(new)[is_first], scores[is_first])
    assert not torch.allclose(model.full_sort_predict(new)[~is_first], scores[~is_first])
    assert len(model.explain(batch, 2)) == 5


def test_intent_norm_gives_intents_the_size_of_the_states_that_read_them() -> None:
    batch = _rows()
    options = {"initializer_range": 0.02}

    def size(**more) -> float:
        model = _model(**options, **more)
        return model.distil(batch["item_id_list"], batch["item_length"]).std().item()

    assert size() < 0.05
    assert 0.5 < size(intent_norm="layer") < 1.5


def test_a_distiller_of_another_dataset_is_refused() -> None:
    state = _model().distiller.encoder.state_dict()
    state["item_embedding.weight"] = state["item_embedding.weight"][:-1]
    with pytest.raises(UserError, match="does not fit"):
        _model(item_init="distiller").load_distiller(state)
