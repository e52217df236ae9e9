"""FAPAT: graph attention, memory, causality, what is mined, and a run that is cut off."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.fapat.model import training_sessions
from recbole_intent.models.fapat.view import RelationAttention, View
from recbole_intent.nn.session_graph import transitions
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

SMALL = {"hidden_size": 8, "inner_size": 8, "n_layers": 2, "n_heads": 2, "memory_size": 3}
SMALL |= {"category": "all", "initializer_range": 0.5}


@pytest.fixture
def make(tiny):
    """A model, its data, and a batch of rows of different lengths."""

    def make_model(**options):
        made = tiny("FAPAT", **{**SMALL, **options})
        train = load_data(made).train_dataset
        torch.manual_seed(3)
        model = made.spec.model_class()(made, train)
        return model, train, train.join(train.rows(torch.arange(0, len(train.inter_feat), 5)))

    return make_model


def test_graph_attention_is_the_plain_formula():
    torch.manual_seed(0)
    seq = torch.tensor([[4, 2, 4, 2, 3, 0], [1, 1, 5, 0, 0, 0]])
    view = View(6, 5)
    states = view(seq)
    e, a = view.embedding.weight, view.graph.a
    for row, values in enumerate(seq.tolist()):
        values = [value for value in values if value]
        pairs = set(pairwise(values))
        for place, i in enumerate(values):
            logits, near = [], []
            for j in dict.fromkeys(values):
                before, after = (j, i) in pairs, (i, j) in pairs
                if i != j and not (before or after):
                    continue
                kind = 0 if i == j else 1 if before and not after else 2 if not before else 3
                logits.append(F.leaky_relu(a[kind] @ (e[i] * e[j]), 0.2))
                near.append(e[j])
            expected = torch.stack(logits).softmax(0) @ torch.stack(near)
            torch.testing.assert_close(states[row, place], expected)
    assert not states[0, 5].any()
    first, follows = transitions(seq)
    assert first[0].tolist()[:5] == [0, 1, 0, 1, 4]
    assert follows[0].nonzero().tolist() == [[0, 1], [1, 0], [1, 4]]
    assert RelationAttention(6)(e[seq], torch.zeros(2, 6, 6).long()).eq(0).all()


def test_patterns_are_of_training_sessions_and_matched_by_shared_nodes(make, tiny):
    model, train, batch = make()
    view = model.views[1]
    assert view.n_patterns > 20
    sessions = training_sessions(tiny("FAPAT", **SMALL), train, model.value_1.numpy())
    owners = train.inter_feat["user_id"].unique()
    assert len(sessions) >= len(owners)
    assert max(map(len, sessions)) <= 8  # the longest history that is read
    assert sum(map(len, sessions)) == sum(
        int(train.inter_feat["user_id"].eq(user).sum()) + 1 for user in owners
    )
    values = model.values(batch["item_id_list"])[1]
    number, is_match = view.matched(values, 3)
    for row, own in enumerate(values.tolist()):
        shared = [len({*nodes} & {*own} - {0}) for nodes in view.nodes.tolist()]
        best = sorted(range(len(shared)), key=lambda p: (-shared[p], p))[:3]
        assert number[row].tolist() == best
        assert is_match[row].tolist() == [shared[p] > 0 for p in best]
    vector = view.vectors(number)[0, 0]
    nodes = view.nodes[number[0, 0]]
    h = view.graph(view.embedding(nodes)[None], view.relation[number[0, 0]][None])[0]
    torch.testing.assert_close(vector, h[nodes > 0].mean(0))


def test_memory_gates_and_all_weights_matter(make):
    model, _, batch = make()
    model.train().calculate_loss(batch).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # Keys have no use for a bias, which shifts all logits alike.
        assert parameter.grad.any() or name.endswith("key.bias"), name
    scores = model.eval().full_sort_predict(batch)
    without, _, _ = make(max_patterns=0)
    without.load_state_dict(model.state_dict())
    assert not torch.allclose(without.eval().full_sort_predict(batch), scores, atol=1e-3)
    one, _, _ = make(gate_views=1, gate_noise=False)
    one.load_state_dict(model.state_dict(), strict=False)
    views = torch.randn(2, 4, 2, 8)
    mixed = one.gate(views)
    assert all(
        torch.equal(m, v[0]) or torch.equal(m, v[1])
        for m, v in zip(mixed.flatten(0, 1), views.flatten(0, 1), strict=True)
    )


def test_padding_does_not_matter(make):
    model, _, batch = make()
    seq, length = batch["item_id_list"], batch["item_length"]
    assert len(length.unique()) > 1
    u = model.eval()(seq, length)
    for row in range(0, len(seq), 7):
        alone = model(seq[row : row + 1, : length[row]], length[row : row + 1])
        torch.testing.assert_close(u[row : row + 1], alone, atol=1e-5, rtol=1e-4)


def test_explanation_is_the_matched_patterns(make):
    model, _, batch = make()
    seq = batch["item_id_list"]
    for row, intents in enumerate(model.eval().explain(batch, 2)):
        assert 0 < len(intents) <= 3
        weights = [intent.weight for intent in intents]
        assert weights == sorted(weights, reverse=True)
        assert 0 < sum(weights) < 1
        for intent in intents:
            named = {model.names[0].index(name) + 1 for name in intent.text.split(" – ")}
            assert intent.items
            for item, _ in intent.items:
                assert item in seq[row]
                assert int(model.value_1[item]) in named


def test_what_is_wrong_is_named(walks, tiny):
    with pytest.raises(
        UserError, match=r"walks\.item: no column of categories .*, which attribute_columns: auto"
    ):
        build(walks("FAPAT"))
    with pytest.raises(UserError, match=r"no column of categories \(kind\), which attribute_colu"):
        build(tiny("FAPAT", attribute_columns=["class", "kind"]))
    for options, message in (
        ({"pattern_min_nodes": 5}, "pattern_min_nodes: 5 is above pattern_max_nodes: 4"),
        ({"pattern_min_edges": 7, "pattern_max_edges": 9}, "7 is more than the 6 edges that a pat"),
    ):
        with pytest.raises(UserError, match=message):
            build(tiny("FAPAT", **{**SMALL, **options}))


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tiny, resumes_exactly):
    resumes_exactly(tiny("FAPAT", epochs=3, **SMALL))
