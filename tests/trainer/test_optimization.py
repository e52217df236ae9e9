"""Schedules and averages equal torch's and the plain formulas, and survive a kill."""

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from recbole_intent.config.config import Config
from recbole_intent.runs.experiment import build
from recbole_intent.trainer.base import BEST, LAST
from recbole_intent.trainer.checkpoint import load_checkpoint
from recbole_intent.trainer.optimization import Average, Schedule
from recbole_intent.utils.errors import UserError


def _rates(schedule: Schedule, epochs: int, batches: int) -> list[float]:
    return [
        schedule.rate(epoch + batch / batches, 1 / batches)
        for epoch in range(epochs)
        for batch in range(batches)
    ]


def _torch_rates(make, steps: int, rate: float = 0.1) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler, seen = make(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def _torch_cosine(optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=0.02)


def _torch_linear(optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.LinearLR(optimizer, 1.0, 0.2, total_iters=steps)


@pytest.mark.parametrize(("kind", "made"), [("cosine", _torch_cosine), ("linear", _torch_linear)])
def test_a_schedule_has_torchs_rates(kind, made):
    ours = _rates(Schedule(kind, 0.1, epochs=5, least=0.02), 5, 7)
    assert ours == pytest.approx(_torch_rates(lambda o: made(o, 35), 35), rel=1e-9)


@pytest.mark.parametrize(("kind", "made"), [("cosine", _torch_cosine), ("linear", _torch_linear)])
def test_a_warm_up_comes_before_it_as_in_torch(kind, made):
    def both(optimizer):
        rise = lr_scheduler.LinearLR(optimizer, 1 / 14, 1.0, total_iters=13)
        return lr_scheduler.SequentialLR(optimizer, [rise, made(optimizer, 21)], [14])

    ours = _rates(Schedule(kind, 0.1, epochs=5, warmup=2, least=0.02), 5, 7)
    assert ours == pytest.approx(_torch_rates(both, 35), rel=1e-9)


def test_a_warm_up_of_a_part_of_an_epoch_reaches_the_constant_rate():
    ours = _rates(Schedule("constant", 1.0, epochs=2, warmup=0.4), 2, 10)
    assert ours == pytest.approx([0.25, 0.5, 0.75, *[1.0] * 17])


def test_a_schedule_by_epoch_has_one_rate_in_each():
    ours = _rates(Schedule("linear", 1.0, epochs=4, by_epoch=True), 4, 3)
    assert ours == [1.0] * 3 + [0.75] * 3 + [0.5] * 3 + [0.25] * 3


def test_the_average_is_the_plain_formula():
    weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    average = Average([weight], 0.6)
    expected = torch.zeros(3, dtype=torch.float64)
    for step in range(1, 21):
        with torch.no_grad():
            weight.copy_(torch.tensor([1.0, step, step**2]))
        average.update()
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight.detach()
    before = weight.detach().clone()
    with average.in_use():
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-12, atol=0)
    assert torch.equal(weight.detach(), before)


# --- in a training ---------------------------------------------------------------------------

NEW = {
    "learner": "adamw",
    "weight_decay": 0.1,
    "lr_schedule": "cosine",
    "warmup_epochs": 0.5,
    "min_learning_rate": 1e-4,
    "ema_decay": 0.9,
    "label_smoothing": 0.1,
}


def _noting_rates(trainer) -> list[float]:
    seen, step = [], trainer.optimizer.step

    def noting():
        seen.append(trainer.optimizer.param_groups[0]["lr"])
        return step()

    trainer.optimizer.step = noting
    return seen


def test_each_batch_has_the_rate_of_the_schedule(tiny):
    trainer, data = build(tiny(epochs=3, learning_rate=0.01, **NEW))
    seen = _noting_rates(trainer)
    trainer.fit(data.train, data.valid)
    schedule = Schedule("cosine", 0.01, 3, 0.5, 1e-4)
    assert seen == pytest.approx(_rates(schedule, 3, len(data.train)))


def test_weight_decay_of_adamw_is_decoupled(tiny):
    """Weights that the loss does not reach shrink by rate * decay in each step, whatever Adam's
    moments are; with adam the penalty becomes a step of Adam's own size."""
    left = {}
    for learner in ("adamw", "adam"):
        options = {"learner": learner, "weight_decay": 0.5, "learning_rate": 0.01}
        trainer, data = build(tiny("BPR", epochs=1, **options))
        before = trainer.model.user_embedding.weight[0].detach().clone()  # padding
        trainer.fit(data.train, data.valid)
        left[learner] = trainer.model.user_embedding.weight[0].detach() / before
    expected = torch.full_like(left["adamw"], (1 - 0.01 * 0.5) ** len(data.train))
    torch.testing.assert_close(left["adamw"], expected)
    assert (left["adam"] - expected).abs().max() > 0.01


def test_validation_and_the_best_weights_are_the_averages(tiny, tmp_path):
    trainer, data = build(tiny(epochs=3, learning_rate=0.01, ema_decay=0.9), tmp_path)
    trainer.fit(data.train, data.valid)
    last, best = (load_checkpoint(tmp_path / name) for name in (LAST, BEST))
    assert trainer.best_epoch == 2  # of three
    averages = dict(zip(dict(trainer.model.named_parameters()), last["average"]["averages"],
                        strict=True))  # fmt: skip
    for name, value in trainer.model.named_parameters():
        assert torch.equal(last["state_dict"][name], value)
        assert torch.equal(best["state_dict"][name], averages[name])
        assert not torch.equal(value, averages[name])
    trainer.load_best()
    assert trainer.evaluate(data.valid) == trainer.best_valid
    in_memory, data = build(tiny(epochs=3, learning_rate=0.01, ema_decay=0.9))
    in_memory.fit(data.train, data.valid)
    in_memory.load_best()
    for name, value in in_memory.model.state_dict().items():
        assert torch.equal(value, best["state_dict"][name])


def test_an_average_does_not_change_the_training(tiny):
    plain, data = build(tiny(epochs=2))
    averaged, _ = build(tiny(epochs=2, ema_decay=0.99))
    for trainer in (plain, averaged):
        trainer.fit(data.train, data.valid)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, averaged.model.state_dict()[name])


def test_bf16_trains_with_all_of_it(tiny):
    options = {**NEW, "precision": "bf16", "learning_rate": 0.01, "hidden_size": 16}
    trainer, data = build(tiny(epochs=4, **options))
    trainer.fit(data.train, data.valid)
    losses = [record["loss"]["loss"] for record in trainer.history]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("model", ["SASRec", "IGRSR"])
def test_a_killed_run_ends_as_an_undisturbed_one(
    tiny_path, tmp_path, killed_run, ends_as_undisturbed, model
):
    options = {
        **NEW,
        "data_path": str(tiny_path),
        "checkpoint_dir": str(tmp_path),
        "device": "cpu",
        "threads": 1,
        "tensorboard": False,
        "show_progress": False,
        "epochs": 14,
        "stopping_step": 30,
        "hidden_size": 16,
        "inner_size": 16,
        "n_layers": 1,
        "distiller_size": 8,
        "learning_rate": 0.01,
        "MAX_ITEM_LIST_LENGTH": 8,
        "train_batch_size": 64,
    }
    if model == "SASRec":
        del options["distiller_size"]
    killed = killed_run(model, options, "train ", 3)
    ends_as_undisturbed(model, options, killed)
    mine, theirs = (torch.load(folder / LAST)["average"] for folder in (killed, tmp_path / "whole"))
    assert mine["steps"] == theirs["steps"]
    for a, b in zip(mine["averages"], theirs["averages"], strict=True):
        assert torch.equal(a, b)


# --- label smoothing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SASRec", {}),
        ("SASRec", {"passes": 2}),
        ("GRU4Rec", {}),
        ("BERT4Rec", {}),
        ("IGRSR", {"use_icr": False}),
        ("VELI4SBR", {"loss_type": "CE", "intents": "none"}),
        ("NARM", {}),
        ("SASRec", {"fast_sequences": False}),
    ],
    ids=str,
)
def test_smoothed_losses_are_the_plain_formula(tiny, name, options):
    """(1 - s) * cross-entropy + s * mean over all items of -log p, which is linear in s."""
    losses = {}
    for smoothing in (0.0, 0.25, 0.5):
        trainer, data = build(tiny(name, hidden_size=16, label_smoothing=smoothing, **options))
        batch = next(iter(data.train))
        torch.manual_seed(3)
        (losses[smoothing],) = (float(part.detach()) for part in trainer.losses(batch))
    assert losses[0.25] != pytest.approx(losses[0.0], abs=1e-5)
    assert losses[0.25] == pytest.approx((losses[0.0] + losses[0.5]) / 2, abs=1e-5)


def test_a_smoothed_loss_is_torchs_on_the_models_scores(tiny):
    trainer, data = build(tiny(label_smoothing=0.3, hidden_size=16))
    model, batch = trainer.model.eval(), next(iter(data.train))
    hidden, target = model.encode_targets(batch)
    scores = hidden @ model.item_table().T
    expected = nn.functional.cross_entropy(scores, target, label_smoothing=0.3)
    torch.testing.assert_close(model.calculate_loss(batch), expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("BPR", {}),
        ("SASRec", {"loss_type": "BPR"}),
        ("SASRec", {"softmax": "uniform"}),
        ("VELI4SBR", {}),
        ("ISRF", {}),
        ("MultiVAE", {}),
        ("BERT4Rec", {"fast_sequences": False, "reference": "recbole"}),
        ("Pop", {}),
    ],
    ids=str,
)
def test_models_without_such_a_loss_refuse_it(tiny, tmp_path, name, options):
    with pytest.raises(UserError, match=f"label_smoothing: {name} is not trained with cross-"):
        build(tiny(name, label_smoothing=0.1, **options), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup_epochs": 5, "epochs": 5}, "--warmup_epochs: 5 must be below epochs: 5"),
        ({"min_learning_rate": 0.1, "lr_schedule": "linear"}, "is above learning_rate: 0.001"),
        ({"lr_schedule": "cosin"}, "did you mean cosine"),
        ({"ema_decay": 1}, "--ema_decay: 1 "),
    ],
    ids=str,
)
def test_values_that_contradict_each_other_are_named(options, message):
    with pytest.raises(UserError, match=message):
        Config("SASRec", "ml-100k", config_dict={"device": "cpu", **options})


def test_an_end_rate_without_a_schedule_has_no_effect():
    config = Config("SASRec", "ml-100k", config_dict={"device": "cpu", "min_learning_rate": 1e-5})
    with pytest.raises(UserError, match="has no effect with lr_schedule: 'constant'"):
        config.refuse_idle()


def test_another_schedule_replaces_isrfs_decay(tiny, tmp_path):
    options = {"checkpoint_dir": str(tmp_path), "epochs": 9, "decay_epochs": 4}
    trainer, _ = build(tiny("ISRF", lr_schedule="cosine", **options))
    assert (trainer.epochs, trainer.schedule().kind) == (9, "cosine")
    trainer, _ = build(tiny("ISRF", **options))
    assert (trainer.epochs, trainer.schedule().kind) == (4, "linear")
