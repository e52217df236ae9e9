"""MiaSRec: its intents, its scores, what learns, and that a kill changes nothing."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.miasrec.model import MiaSRec
from recbole_intent.nn.entmax import entmax
from recbole_intent.utils.errors import UserError

SMALL = {"hidden_size": 8, "inner_size": 12, "initializer_range": 1.0, "temperature": 0.5}
NO_DROPOUT = dict.fromkeys(
    ("hidden_dropout_prob", "attn_dropout_prob", "sess_dropout", "item_dropout"), 0.0
)


@pytest.fixture
def make(walks):
    """A model on the sessions of `walks`, and a batch of rows."""

    def make_model(**options) -> tuple[MiaSRec, object]:
        config = walks("MiaSRec", **{**SMALL, **options})
        data = load_data(config)
        torch.manual_seed(0)
        model = config.spec.model_class()(config, data.train._dataset)
        train = data.train._dataset
        return model, train.join(train.rows(torch.arange(0, len(train.inter_feat), 9)))

    return make_model


@pytest.mark.parametrize("importance", ["select", "weigh"])
def test_gradients_reach_all_that_learns(make, importance):
    model, batch = make(importance=importance)
    model.train().calculate_loss(batch).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("importance") and importance == "select":
            assert not parameter.requires_grad
        elif name != "importance.bias":  # entmax does not see a shift of all scores
            assert parameter.grad.abs().sum() > 0, name


def test_padding_does_not_matter(make):
    model, batch = make()
    item_seq, length = batch["item_id_list"], batch["item_length"]
    assert len(length.unique()) > 1
    n = item_seq.size(1)
    u, a = model.eval()(item_seq, length)
    wider = F.pad(item_seq, (0, 8 - n))
    scribbled = torch.where(torch.arange(8) < length[:, None], wider, 7)
    for other in (wider, scribbled):
        u_2, a_2 = model(other, length)
        torch.testing.assert_close(a_2[:, : n + 1], a, atol=1e-5, rtol=1e-4)
        assert (a_2[:, n + 1 :] == 0).all()
        kept = a > 0
        torch.testing.assert_close(u_2[:, : n + 1][kept], u[kept], atol=1e-5, rtol=1e-4)
    scores = model.full_sort_predict(batch)
    for row in range(0, len(length), 9):  # one session alone
        k = length[row]
        alone = {"item_id_list": item_seq[row : row + 1, :k], "item_length": k[None]}
        torch.testing.assert_close(
            model.full_sort_predict(alone)[0], scores[row], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("importance", ["select", "weigh"])
def test_scores_are_as_defined(make, importance):
    """Session by session, with RecBole's encoder."""
    model, batch = make(importance=importance, max_repeat=3, beta_logit=0.7)
    scores = model.eval().full_sort_predict(batch)
    torch.testing.assert_close(
        model.predict(batch), scores.gather(1, batch["item_id"][:, None])[:, 0]
    )
    table = F.normalize(model.item_embedding.weight, dim=1)
    n_dropped = 0
    for row in range(len(batch)):
        n = int(batch["item_length"][row])
        items = batch["item_id_list"][row, :n].flip(0)
        x = model.item_embedding(items)
        x = torch.cat([x.mean(0, keepdim=True), x])
        count = torch.tensor([1, *(min(3, int((items == item).sum())) for item in items)])
        s = x + model.position_embedding.weight[: n + 1] + model.repeat_embedding(count)
        mask = torch.zeros(1, 1, 1, n + 1)
        s = model.trm_encoder(model.LayerNorm(s)[None], mask)[-1][0]
        gate = model.highway(torch.cat([x, s], 1)).sigmoid()
        r = gate * x + (1 - gate) * s
        a = entmax(model.importance(torch.cat([r[:1].expand_as(r), r], 1))[:, 0], 1.5)
        n_dropped += int((a == 0).sum())
        cosine = F.normalize(r[a > 0], dim=1) @ table.T
        weight = a[a > 0, None] if importance == "weigh" else 1 / (a > 0).sum()
        expected = 0.7 * cosine.amax(0) + 0.3 * (weight * cosine).sum(0)
        torch.testing.assert_close(scores[row], expected, atol=1e-5, rtol=1e-4)
    assert n_dropped > 0


def test_loss_is_cross_entropy_of_the_scores(make):
    model, batch = make(**NO_DROPOUT)
    expected = F.cross_entropy(model.full_sort_predict(batch) / 0.5, batch["item_id"])
    torch.testing.assert_close(model.train().calculate_loss(batch), expected)


def test_repeats_and_order_matter_and_no_item_is_special(make):
    model, _ = make()
    # Item 1 has no more to do with the mean than any other.
    rows = {"a": [5, 9, 5], "b": [9, 5, 5], "c": [5, 9, 9], "d": [1, 9, 4]}
    with torch.no_grad():
        model.item_embedding.weight[4] = model.item_embedding.weight[1]
    u = {
        name: model.eval()(torch.tensor([items]), torch.tensor([3]))[0]
        for name, items in rows.items()
    }
    for i, j in (("a", "b"), ("a", "c")):
        assert not torch.allclose(u[i], u[j], atol=1e-3)
    swapped, _ = model(torch.tensor([[4, 9, 1]]), torch.tensor([3]))
    torch.testing.assert_close(swapped, u["d"])


def test_more_alpha_keeps_fewer_intents(make):
    kept = []
    for alpha in (1.0, 1.5, 3.0):
        model, batch = make(entmax_alpha=alpha)
        _, a = model.eval()(batch["item_id_list"], batch["item_length"])
        kept.append(int((a > 0).sum()))
    assert kept[0] == int(batch["item_length"].sum()) + len(batch)  # and the mean of each
    assert kept[0] > kept[1] > kept[2] >= len(batch)


def test_it_explains_by_the_intents_that_it_keeps(make):
    model, batch = make()
    shown = model.eval().explain(batch, 2)
    with torch.no_grad():
        u, a = model(batch["item_id_list"], batch["item_length"])
        unit = F.normalize(model.item_embedding.weight, dim=1)
    for row, intents in enumerate(shown):
        expected = sorted((w for w in a[row].tolist() if w > 0), reverse=True)[:5]
        assert [intent.weight for intent in intents] == pytest.approx(expected)
        items = set(batch["item_id_list"][row].tolist()) - {0}
        cosine = {item: float(u[row, a[row].argmax()] @ unit[item]) for item in items}
        assert intents[0].items[0][0] == max(cosine, key=cosine.get)
        for intent in intents:
            assert len(intent.items) == min(2, len(items))
            assert {item for item, _ in intent.items} <= items


@pytest.mark.parametrize("importance", ["select", "weigh"])
def test_loss_falls_on_a_toy(make, importance):
    model, batch = make(importance=importance, temperature=0.07, **NO_DROPOUT)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(60):
        loss = model.calculate_loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(walks, resumes_exactly):
    resumes_exactly(walks("MiaSRec", epochs=3, **SMALL))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"entmax_alpha": 0.9}, "entmax_alpha"),
        ({"entmax_alpha": -1}, "entmax_alpha"),  # the fallback of the authors' code
        ({"beta_logit": 1.1}, "beta_logit"),
        ({"importance": "both"}, "importance: 'both' is not one of select, weigh"),
        ({"max_repeat": 0}, "max_repeat"),
        ({"n_heads": 3}, "n_heads: 3 is not a divisor of hidden_size 100"),
    ],
)
def test_wrong_properties_are_named(walks, options, word):
    with pytest.raises(UserError, match=word):
        walks("MiaSRec", **options)
