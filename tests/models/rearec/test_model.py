"""ReaRec: its steps, its two losses, what learns, and that a kill changes nothing."""

import pytest
import torch
import torch.nn.functional as F

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.rearec.model import ReaRec, divergence
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

SMALL = {
    "hidden_size": 8,
    "inner_size": 12,
    "initializer_range": 0.3,
    "temperature": 0.5,
    "noise_std": 0.1,
}
NO_DROPOUT = dict.fromkeys(("input_dropout_prob", "hidden_dropout_prob", "attn_dropout_prob"), 0.0)
N = 8


@pytest.fixture
def make(tiny):
    """A model on `tiny` past its warm-up, and a batch of rows."""

    def make_model(**options) -> tuple[ReaRec, object]:
        config = tiny("ReaRec", **{**SMALL, **options})
        data = load_data(config)
        torch.manual_seed(0)
        model = config.spec.model_class()(config, data.train._dataset)
        model.start_epoch(99)
        return model, next(iter(data.train))

    return make_model


VARIANTS = [
    {},
    {"reason_steps": 3, "contrast_weight": 0.0},
    {"progressive_weight": 0.0, "reason_steps": 1},
    {"variant": "erl"},
    {"variant": "erl", "kl_weight": 0.0},
    {"reason_steps": 0},
    {"variant": "erl", "reason_steps": 0},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_gradients_reach_all_that_learns(make, options):
    model, batch = make(**options)
    losses = model.train().calculate_loss(batch)
    assert len(losses) == len(model.loss_names)
    sum(losses).backward()
    for name, parameter in model.named_parameters():
        if parameter.numel():
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("options", [{}, {"reason_steps": 4}, {"variant": "erl"}], ids=str)
def test_padding_does_not_matter(make, options):
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


def test_stored_keys_and_values_give_what_recomputation_gives(make):
    """Step k from scratch: RecBole's encoder over the history and the inputs of steps 1 .. k."""
    model, batch = make(reason_steps=3, n_layers=3)
    model.eval()
    for row in range(0, len(batch), 7):
        n = int(batch["item_length"][row])
        items = batch["item_id_list"][row : row + 1, :n]
        h = model.states(items, torch.tensor([n]))[0]  # (K + 1, d)
        x = model.item_embedding(items) + model.position_embedding.weight[:n]
        for k in range(4):
            mask = torch.full((n + k, n + k), -1e9).triu(1)[None, None]
            state = model.trm_encoder(model.LayerNorm(x), mask)[-1][0, -1]
            torch.testing.assert_close(h[k], state, atol=1e-5, rtol=1e-4)
            if k < 3:
                x = torch.cat([x, (state + model.reason_position.weight[k])[None, None]], dim=1)


def test_without_steps_it_is_sasrec(make, tiny):
    model, batch = make(reason_steps=0)
    config = tiny("SASRec", hidden_size=8, inner_size=12)
    sasrec = config.spec.model_class()(config, load_data(config).train._dataset)
    state = {k: v for k, v in model.state_dict().items() if k != "reason_position.weight"}
    sasrec.load_state_dict(state)
    rows = batch["item_id_list"], batch["item_length"]
    torch.testing.assert_close(model.eval()(*rows), sasrec.eval()(*rows))
    assert model.loss_names == ("rec",)


def test_progressive_losses_are_as_defined(make):
    model, batch = make(reason_steps=2, temperature_scale=3.0, **NO_DROPOUT)
    torch.manual_seed(3)
    rec, progress, contrast = model.train().calculate_loss(batch)
    torch.manual_seed(3)
    states = model.states(batch["item_id_list"], batch["item_length"], noisy=True)
    target, table = batch["item_id"], model.item_embedding.weight
    h, g = states.chunk(2)
    torch.testing.assert_close(h[:, 0], g[:, 0])  # the noise is in the steps
    assert not torch.allclose(h[:, 1], g[:, 1], atol=1e-3)
    logits = h @ table.T / 0.5
    torch.testing.assert_close(rec, F.cross_entropy(logits[:, 2], target))
    earlier = [F.cross_entropy(logits[:, k] / 3 ** (2 - k), target) for k in (0, 1)]
    torch.testing.assert_close(progress, sum(earlier) / 2)
    rows = torch.arange(len(target))
    steps = [F.cross_entropy(g[:, k] @ h[:, k].T / 0.5, rows) for k in (1, 2)]
    torch.testing.assert_close(contrast, sum(steps) / 2)


def test_ensemble_losses_are_as_defined(make):
    model, batch = make(variant="erl", kl_weight=0.2, **NO_DROPOUT)
    rec, reward = model.train().calculate_loss(batch)
    h = model.states(batch["item_id_list"], batch["item_length"])
    target, table = batch["item_id"], model.item_embedding.weight
    torch.testing.assert_close(rec, F.cross_entropy(h.mean(1) @ table.T / 0.5, target))
    q = (h @ table.T / 0.5).log_softmax(-1)
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    kl = [F.kl_div(q[:, j], q[:, i], log_target=True, reduction="batchmean") for i, j in pairs]
    torch.testing.assert_close(reward, -0.2 * sum(kl) / 6)


def test_variants_and_steps_differ(make):
    vectors = []
    for options in ({}, {"reason_steps": 1}, {"variant": "erl"}):
        model, batch = make(**options)
        vectors.append(model.eval()(batch["item_id_list"], batch["item_length"]))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(vectors[i], vectors[j], atol=1e-3)


def test_divergence_has_the_gradient_of_its_first_distribution():
    """Also where probabilities underflow."""
    torch.manual_seed(0)
    h = torch.randn(5, 3, 4, requires_grad=True)
    table = torch.randn(7, 4, requires_grad=True)
    found = torch.autograd.grad(divergence(h, table, 0.3), (h, table))
    log_q = (h @ table.T / 0.3).log_softmax(-1)
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    terms = [(log_q[:, i].exp() * (log_q[:, i] - log_q[:, j].detach())).sum(-1) for i, j in pairs]
    expected = torch.autograd.grad(sum(terms).mean() / 6, (h, table))
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(divergence(h, 300 * table, 0.01), h)
    assert torch.isfinite(gradient).all()


def test_contrast_waits_for_the_warm_up(make):
    model, batch = make(contrast_after=2)
    for epoch, names in ((1, ("rec", "progress")), (2, ("rec", "progress", "contrast"))):
        model.start_epoch(epoch)
        assert model.loss_names == names
        assert len(model.calculate_loss(batch)) == len(names)


@pytest.mark.parametrize("variant", ["prl", "erl"])
def test_loss_falls_on_a_toy(make, variant):
    model, batch = make(variant=variant, **NO_DROPOUT)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        parts = model.calculate_loss(batch)
        optimizer.zero_grad()
        sum(parts).backward()
        optimizer.step()
        losses.append(parts[0].item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("variant", ["prl", "erl"])
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tiny, resumes_exactly, variant):
    resumes_exactly(tiny("ReaRec", epochs=3, contrast_after=1, variant=variant, **SMALL))


def test_a_divergence_that_wins_is_named(tiny):
    options = {"variant": "erl", "kl_weight": 1e4, "learning_rate": 1e9, "epochs": 3}
    trainer, data = build(tiny("ReaRec", **SMALL, **options))
    with pytest.raises(UserError, match=r"loss is .*or a --kl_weight below 10000"):
        trainer.fit(data.train, data.valid)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"variant": "both"}, "variant: 'both' is not one of prl, erl"),
        ({"reason_steps": -1}, "reason_steps"),
        ({"temperature": 0}, "temperature"),
        ({"temperature_scale": 0.5}, "temperature_scale"),
        ({"loss_type": "BPR"}, "loss_type"),
        ({"noise_std": 0}, "noise_std"),
        ({"kl_weight": -0.1}, "kl_weight"),
    ],
)
def test_wrong_properties_are_named(tiny, options, word):
    with pytest.raises(UserError, match=word):
        tiny("ReaRec", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"kl_weight": 0.1},
        {"variant": "erl", "noise_std": 0.1},
        {"reason_steps": 0, "temperature_scale": 2.0},
    ],
    ids=str,
)
def test_keys_of_the_other_variant_have_no_effect(tiny, options):
    with pytest.raises(UserError, match="has no effect with"):
        tiny("ReaRec", **options).refuse_idle()
