"""LARES: recurrence, alignments, what learns, and that a kill changes nothing."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.lares.model import LARES
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

SMALL = {"hidden_size": 8, "inner_size": 12, "initializer_range": 0.3, "temperature": 0.5}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}
N = 8


@pytest.fixture
def make(tiny):
    """A model on `tiny`, and a batch of rows of several lengths."""

    def make_model(**options) -> tuple[LARES, object]:
        config = tiny("LARES", **{**SMALL, **options})
        data = load_data(config)
        torch.manual_seed(0)
        model = config.spec.model_class()(config, data.train._dataset)
        train = data.train._dataset
        return model, train.join(train.rows(torch.arange(0, len(train.inter_feat), 9)))

    return make_model


def with_positives(batch, model):
    """The batch with its own rows, in reverse order, as histories with the same target."""
    for name, column in (
        (model.POSITIVE_SEQ, model.ITEM_SEQ),
        (model.POSITIVE_LEN, model.ITEM_SEQ_LEN),
    ):
        batch.interaction[name] = batch[column].flip(0)
    return batch


VARIANTS = [
    {},
    {"similarity": "cos"},
    {"trajectory_weight": 0.0},
    {"step_weight": 0.0},
    {"trajectory_weight": 0.0, "step_weight": 0.0, "recurrence": "constant"},
    {"state_init": "zero", "n_core_layers": 1},
    {"state_init": "normal_zero", "n_pre_layers": 1},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_gradients_reach_all_that_learns(make, options):
    model, batch = make(**options)
    losses = model.train().calculate_loss(with_positives(batch, model))
    assert len(losses) == len(model.loss_names)
    sum(losses).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("options", [{}, {"similarity": "cos"}, {"test_recurrence": 1}], ids=str)
def test_padding_and_neighbours_do_not_matter(make, options):
    model, batch = make(**options)
    item_seq, length = batch["item_id_list"], batch["item_length"]
    assert len(length.unique()) > 1
    expected = model.eval()(item_seq, length)
    wider = F.pad(item_seq, (0, N - item_seq.size(1)))
    scribbled = torch.where(torch.arange(N) < length[:, None], wider, 7)
    for other in (wider, scribbled):
        torch.testing.assert_close(model(other, length), expected, atol=1e-5, rtol=1e-4)
    for row in range(0, len(length), 9):  # one history alone
        alone = model(item_seq[row : row + 1, : length[row]], length[row : row + 1])
        torch.testing.assert_close(alone[0], expected[row], atol=1e-5, rtol=1e-4)


def test_steps_are_as_defined(make):
    """The recurrence written out with RecBole's encoders, one history at a time."""
    model, batch = make()
    h = model.eval().states(batch["item_id_list"], batch["item_length"], 3)
    for row in range(0, len(batch), 5):
        n = int(batch["item_length"][row])
        mask = torch.full((n, n), -1e9).triu(1)[None, None]
        items = model.item_embedding(batch["item_id_list"][row, :n])
        x = model.LayerNorm(items + model.position_embedding.weight[:n])[None]
        H = model.pre_encoder(x, mask)[-1]
        s = model.first_state[None, :n]
        for t in range(3):
            s = model.core_encoder(model.state_norm((s + H) / 2), mask)[-1]
            torch.testing.assert_close(h[row, t], s[0, -1], atol=1e-5, rtol=1e-4)


def test_depth_is_random_in_training_and_fixed_in_tests(make):
    model, _ = make(mean_recurrence=4, test_recurrence=7)
    drawn = torch.tensor([model.train().draw_steps() for _ in range(3000)]).float()
    assert drawn.min() == 1
    assert drawn.max() == 12
    assert drawn.mean() == pytest.approx(5, abs=0.2)  # 1 + a Poisson variable with mean r
    assert drawn.var() > 5  # more than Poisson's: its rate is random
    assert model.eval().draw_steps() == 7
    constant, _ = make(recurrence="constant", mean_recurrence=3)
    assert constant.train().draw_steps() == 3
    assert constant.eval().draw_steps() == 3


def test_first_states(make):
    rows = {}
    for init in ("normal", "normal_zero", "zero"):
        model, batch = make(state_init=init, **NO_DROPOUT)
        seq = batch["item_id_list"], batch["item_length"]
        assert torch.equal(model.eval()(*seq), model(*seq))  # the same in every ranking
        tested = model.states(*seq, 2)
        again = model.states(*seq, 2, is_random=True)
        trained = model.train().states(*seq, 2)
        assert torch.allclose(trained, tested) == (init == "zero")
        assert torch.allclose(again, tested) == (init == "zero")
        rows[init] = tested
        assert model.first_state.abs().max() <= 3 * 3.0
    torch.testing.assert_close(rows["normal_zero"], rows["zero"])
    assert not torch.allclose(rows["normal"], rows["zero"], atol=1e-3)


@pytest.mark.parametrize("similarity", ["dot", "cos"])
def test_losses_are_as_defined(make, similarity):
    options = {"state_init": "zero", "recurrence": "constant", "similarity": similarity}
    model, batch = make(trajectory_weight=0.3, step_weight=0.7, **options, **NO_DROPOUT)
    torch.manual_seed(3)
    rec, trajectory, step = model.train().calculate_loss(with_positives(batch, model))
    torch.manual_seed(3)
    t = int(torch.randint(4, ()))
    h = model.states(batch["item_id_list"], batch["item_length"], 4)
    g = model.states(batch[model.POSITIVE_SEQ], batch[model.POSITIVE_LEN], 4)[:, -1]
    table, final, chosen = model.item_embedding.weight, h[:, -1], h[:, t]
    scale = 1.0
    if similarity == "cos":
        table, final, chosen, g = (F.normalize(x, dim=1) for x in (table, final, chosen, g))
        scale = 0.5
    torch.testing.assert_close(rec, F.cross_entropy(final @ table.T / scale, batch["item_id"]))
    rows = torch.arange(len(batch))

    def align(a, b):
        pairs = a @ b.T / 0.5
        return (F.cross_entropy(pairs, rows) + F.cross_entropy(pairs.T, rows)) / 2

    torch.testing.assert_close(trajectory, 0.3 * align(final, g))
    torch.testing.assert_close(step, 0.7 * align(final, chosen))
    scores = model.full_sort_predict(batch)
    torch.testing.assert_close(scores, final @ table.T)


def test_a_history_is_its_own_positive_where_none_is_given(make):
    options = {"state_init": "zero", "recurrence": "constant", **NO_DROPOUT}
    model, batch = make(**options)
    alone = model.train().calculate_loss(batch)[1]
    batch.interaction[model.POSITIVE_SEQ] = batch["item_id_list"]
    batch.interaction[model.POSITIVE_LEN] = batch["item_length"]
    torch.testing.assert_close(model.calculate_loss(batch)[1], alone)


def test_loss_falls_on_a_toy(make):
    model, batch = make(state_init="zero", recurrence="constant", **NO_DROPOUT)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        parts = model.calculate_loss(batch)
        optimizer.zero_grad()
        sum(parts).backward()
        optimizer.step()
        losses.append(parts[0].item())
    assert losses[-1] < 0.5 * losses[0]


def test_training_pairs_histories_of_one_target(tiny, monkeypatch):
    trainer, data = build(tiny("LARES", epochs=1, **SMALL))
    train = data.train._dataset
    target_of: dict[tuple, set[int]] = {}
    rows = train.rows(torch.arange(len(train.inter_feat)), N)
    for items, target in zip(rows["item_id_list"].tolist(), rows["item_id"].tolist(), strict=True):
        target_of.setdefault(tuple(items), set()).add(target)
    seen = []
    calculate = trainer.model.calculate_loss

    def note(batch):
        positives = F.pad(batch[trainer.model.POSITIVE_SEQ], (0, N))[:, :N].tolist()
        for items, own, target in zip(
            positives, batch["item_id_list"].tolist(), batch["item_id"].tolist(), strict=True
        ):
            assert target in target_of[tuple(items)]
            seen.append(items[: len(own)] != own)
        return calculate(batch)

    monkeypatch.setattr(trainer.model, "calculate_loss", note)
    trainer.fit(data.train, data.valid)
    assert sum(seen) > 0.9 * len(seen) > 0


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tiny, resumes_exactly):
    resumes_exactly(tiny("LARES", epochs=3, **SMALL))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"mean_recurrence": 0}, "mean_recurrence"),
        ({"test_recurrence": 0}, "test_recurrence"),
        ({"state_init": "ones"}, "state_init"),
        ({"similarity": "cosine"}, "similarity: 'cosine' is not one of dot, cos"),
        ({"temperature": 0.0}, "temperature"),
        ({"step_weight": -1}, "step_weight"),
        ({"rpt_share": 1.0}, "rpt_share"),
        ({"group_size": 1}, "group_size"),
        ({"reward": "mrr"}, "reward: 'mrr' is not one of recall, ndcg"),
        ({"fast_sequences": False}, "fast_sequences: must be True for LARES"),
    ],
)
def test_wrong_properties_are_named(tiny, options, word):
    with pytest.raises(UserError, match=word):
        build(tiny("LARES", **options))
