"""The training loop: RecBole's metrics, safe checkpoints, exact resume, the stopping rule."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.data.utils import create_samplers, get_dataloader
from recbole.trainer import Trainer as RecBoleTrainer

from recbole_intent.runs.experiment import build
from recbole_intent.trainer.base import BEST, LAST, Trainer
from recbole_intent.trainer.checkpoint import load_checkpoint, save_checkpoint
from recbole_intent.utils.errors import UserError

METRICS = {"metrics": ["Recall", "NDCG", "MRR", "Hit", "Precision", "MAP"], "topk": [1, 5, 10, 20]}


def _randomize(model: torch.nn.Module, std: float = 0.3) -> None:
    torch.manual_seed(5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)


def _recbole_metrics(config, model, split: str) -> dict[str, float]:
    """Of RecBole's own dataset, loaders, collector and evaluator, with the model's weights."""
    from recbole.data import create_dataset

    dataset = create_dataset(config)
    built = dataset.build()
    samplers = create_samplers(config, dataset, built)
    which = ("train", "valid", "test").index(split)
    loader = get_dataloader(config, split)(config, built[which], samplers[which], shuffle=False)
    trainer = RecBoleTrainer(config, model)
    # RecBole counts items when it first evaluates training data; ranking metrics do not need it.
    trainer.tot_item_num = dataset.item_num
    return dict(trainer.evaluate(loader, load_best_model=False, show_progress=False))


# With `repeatable` RecBole hides nothing that a user had before; without, all of it.
@pytest.mark.parametrize(
    ("name", "mask_history", "repeatable"),
    [("SASRec", False, True), ("BPR", False, True), ("BPR", True, False)],
)
@pytest.mark.parametrize("split", ["valid", "test"])
def test_metrics_are_recboles(config, tmp_path, monkeypatch, name, mask_history, repeatable, split):
    monkeypatch.chdir(tmp_path)
    made = config(
        name,
        mask_history=mask_history,
        repeatable=repeatable,
        checkpoint_dir=str(tmp_path),
        metric_decimal_place=6,
        eval_batch_size=4096 if name == "SASRec" else 400_000,
        **METRICS,
    )
    trainer, data = build(made)
    _randomize(trainer.model)
    ours = trainer.evaluate(getattr(data, split))
    theirs = _recbole_metrics(made, trainer.model, split)
    assert ours.keys() == theirs.keys()
    for metric, value in ours.items():
        assert value == pytest.approx(float(theirs[metric]), abs=5e-5), metric
    assert ours["recall@20"] > 0


@pytest.mark.parametrize("name", ["SASRec", "BPR"])
def test_metrics_of_a_ratio_split_are_recboles(config, tmp_path, monkeypatch, name):
    """Many targets a user: a general model's are one list, a sequence model's one row each."""
    monkeypatch.chdir(tmp_path)
    made = config(
        name,
        eval_args={"split": {"RS": [0.8, 0.1, 0.1]}},
        checkpoint_dir=str(tmp_path),
        metric_decimal_place=6,
        repeatable=True,
        eval_batch_size=4096 if name == "SASRec" else 400_000,
        **METRICS,
    )
    trainer, data = build(made)
    _randomize(trainer.model)
    ours, theirs = trainer.evaluate(data.test), _recbole_metrics(made, trainer.model, "test")
    if name == "SASRec":
        ranks = trainer.rank(data.test)
        assert len(ranks) > len(np.unique(ranks.user))
    for metric, value in ours.items():
        assert value == pytest.approx(float(theirs[metric]), abs=5e-5), metric


# --- checkpoints -----------------------------------------------------------------------------


@pytest.fixture
def trained(tiny, tmp_path) -> tuple[Trainer, object]:
    trainer, data = build(tiny(epochs=4, hidden_size=16, learning_rate=0.01), tmp_path)
    trainer.fit(data.train, data.valid)
    return trainer, data


def test_checkpoints_are_plain_and_hold_what_they_say(trained, tmp_path):
    trainer, data = trained
    for name in (BEST, LAST):
        state = torch.load(tmp_path / name, weights_only=True)
        assert all(torch.is_tensor(value) for value in state["state_dict"].values())
    assert state["next_epoch"] == 4 == len(state["history"])
    trainer.load_best()
    assert trainer.evaluate(data.valid) == pytest.approx(trainer.best_valid)
    best = max(record["valid"]["ndcg@10"] for record in trainer.history)
    assert trainer.best_valid["ndcg@10"] == best == trainer.best_score
    assert trainer.history[trainer.best_epoch]["valid"] == trainer.best_valid
    assert not list(tmp_path.glob(".*.tmp"))


def test_training_learns(trained):
    """The next item lies one to three steps on along a ring of 40."""
    trainer, _ = trained
    losses = [record["loss"]["loss"] for record in trainer.history]
    assert losses == sorted(losses, reverse=True)
    assert trainer.best_valid["recall@20"] > 0.5


def test_in_memory_is_as_in_a_folder(trained, tiny):
    kept, data = trained
    trainer, data = build(tiny(epochs=4, hidden_size=16, learning_rate=0.01))
    trainer.fit(data.train, data.valid)
    assert trainer.best_valid == kept.best_valid
    kept.load_best()
    trainer.load_best()
    for key, value in trainer.model.state_dict().items():
        assert torch.equal(value, kept.model.state_dict()[key])


@pytest.mark.parametrize("name", ["SASRec", "BPR", "LightGCN", "BERT4Rec", "MultiVAE"])
def test_resumed_training_is_the_same_bit_for_bit(tiny, tmp_path, name):
    made = tiny(name, epochs=3)
    whole, data = build(made)
    whole.fit(data.train, data.valid)

    first, data = build(made, tmp_path)
    first.epochs = 1
    first.fit(data.train, data.valid)
    torch.rand(7)  # what happened before in the process does not matter
    second, data = build(made, tmp_path)
    second.fit(data.train, data.valid)
    assert second.next_epoch == 3
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key]), key
    assert whole.best_valid == second.best_valid
    assert [r["loss"] for r in whole.history] == [r["loss"] for r in second.history]


def test_a_kill_between_best_and_last_repeats_the_epoch(tiny, tmp_path, monkeypatch):
    made = tiny(epochs=3, learning_rate=0.01)
    whole, data = build(made)
    whole.fit(data.train, data.valid)
    trainer, data = build(made, tmp_path)
    real = save_checkpoint

    def dies_before_last(path: Path, state: dict) -> None:
        if path.name == LAST and state["next_epoch"] == 2:
            raise KeyboardInterrupt
        real(path, state)

    monkeypatch.setattr("recbole_intent.trainer.base.save_checkpoint", dies_before_last)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(data.train, data.valid)
    assert load_checkpoint(tmp_path / BEST)["epoch"] == 1
    monkeypatch.undo()
    again, data = build(made, tmp_path)
    again.fit(data.train, data.valid)
    assert again.best_valid == whole.best_valid
    again.load_best()
    assert again.evaluate(data.valid) == whole.best_valid


@pytest.mark.parametrize(
    ("name", "options"), [("GRU4Rec", {}), ("SASRec", {"hidden_size": 32}), ("BPR", {})]
)
def test_checkpoint_of_another_model_is_refused(trained, tiny, tmp_path, name, options):
    other, _ = build(tiny(name, **options))
    with pytest.raises(UserError, match=r"best\.pt: made for another model or dataset: "):
        other.load_weights(tmp_path / BEST)


def test_checkpoint_of_another_dataset_is_refused(trained, config, tmp_path):
    other, _ = build(config(hidden_size=16, MAX_ITEM_LIST_LENGTH=8))
    before = {key: value.clone() for key, value in other.model.state_dict().items()}
    with pytest.raises(UserError, match="made for another model or dataset"):
        other.load_weights(tmp_path / BEST)
    assert all(torch.equal(v, before[k]) for k, v in other.model.state_dict().items())


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "flipped", "other", "pickle"])
def test_damaged_checkpoint_is_named(trained, tiny, tmp_path, damage):
    path = tmp_path / LAST
    content = path.read_bytes()
    if damage == "other":
        torch.save([1, 2], path)
    elif damage == "pickle":
        torch.save({"state_dict": Path("x")}, path)  # not what `weights_only` lets in
    else:
        path.write_bytes(
            {
                "cut": content[: len(content) // 2],
                "empty": b"",
                "garbage": b"epoch 3\n",
                "flipped": content[: len(content) // 2]
                + bytes([content[len(content) // 2] ^ 1])
                + content[len(content) // 2 + 1 :],
            }[damage]
        )
    trainer, data = build(tiny(epochs=4, hidden_size=16, learning_rate=0.01), tmp_path)
    with pytest.raises(UserError, match=r"last\.pt: (not a |expected an object)"):
        trainer.fit(data.train, data.valid)


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path):
    """In a process whose files may not grow beyond 64 KiB."""
    path = tmp_path / LAST
    save_checkpoint(path, {"state_dict": {"w": torch.arange(3)}})
    code = """
        import resource, signal, sys, torch
        from pathlib import Path
        from recbole_intent.utils.errors import UserError
        from recbole_intent.trainer.checkpoint import save_checkpoint
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            save_checkpoint(Path(sys.argv[1]), {"state_dict": {"w": torch.zeros(10**6)}})
        except UserError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: cannot be written")
    assert done.stdout.count("\n") == 1
    assert load_checkpoint(path)["state_dict"]["w"].tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


# --- the stopping rule -----------------------------------------------------------------------


class _Scripted(Trainer):
    """Gets its validation scores from a list."""

    def evaluate(self, data):
        return {"ndcg@10": self.script[len(self.history)]}


def _scripted(tiny, script, **options) -> _Scripted:
    options = {"epochs": len(script), "metrics": ["NDCG"], "topk": [10], **options}
    trainer, data = build(tiny("Pop", **options))
    trainer.__class__ = _Scripted
    trainer.script, trainer.epochs = script, len(script)
    trainer.fit(data.train, data.valid)
    return trainer


@pytest.mark.parametrize(
    ("script", "stopping_step", "epochs", "best"),
    [
        ([0.1, 0.2, 0.1, 0.1, 0.1, 0.3], 2, 5, 1),  # the third in a row without a better one
        ([0.1, 0.2, 0.1, 0.1, 0.2, 0.1], 2, 6, 4),  # an equal one counts as better
        ([0.3, 0.2, 0.1], 0, 2, 0),
        ([0.1, 0.2, 0.3], 5, 3, 2),
    ],
)
def test_early_stopping_is_recboles_rule(tiny, script, stopping_step, epochs, best):
    trainer = _scripted(tiny, script, stopping_step=stopping_step)
    assert trainer.next_epoch == epochs
    assert trainer.best_epoch == best
    assert trainer.best_score == max(script[:epochs])


def test_a_finished_training_is_not_trained_on(trained, tiny, tmp_path):
    trainer, _ = trained
    again, data = build(tiny(epochs=4, hidden_size=16, learning_rate=0.01), tmp_path)
    before = (tmp_path / LAST).read_bytes()
    again.fit(data.train, data.valid)
    assert again.history == trainer.history
    assert (tmp_path / LAST).read_bytes() == before


def test_a_diverged_loss_is_named_with_its_epoch(tiny):
    trainer, data = build(tiny(epochs=3, learning_rate=1e30, hidden_size=16))
    with pytest.raises(UserError, match=r"epoch \d: the training loss is (nan|inf)|as NaN"):
        trainer.fit(data.train, data.valid)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"valid_metric": "NDCG@7"}, "valid_metric: NDCG@7 is not among"),
        ({"metrics": ["NDCG"], "valid_metric": "NDCG"}, "'NDCG' is not METRIC@K"),
        ({"learner": "lion"}, "learner: 'lion'"),
        ({"precision": "fp8"}, "precision: 'fp8'"),
    ],
    ids=str,
)
def test_bad_options_are_named_before_any_training(tiny, options, message):
    with pytest.raises(UserError, match=message):
        build(tiny(**options))


def test_gradients_are_clipped(tiny):
    trainer, data = build(tiny(clip_grad_norm={"max_norm": 1e-8}, epochs=1, learner="sgd"))
    before = trainer.model.item_embedding.weight.clone()
    trainer.fit(data.train, data.valid)
    assert (trainer.model.item_embedding.weight - before).abs().max() < 1e-6


# --- precision and compilation -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec", "IGRSR"])
def test_bf16_is_close_to_fp32(tiny, name):
    full, data = build(tiny(name, hidden_size=16))
    half, _ = build(tiny(name, hidden_size=16, precision="bf16"))
    for trainer in (full, half):
        _randomize(trainer.model)
    metrics = [trainer.evaluate(data.valid) for trainer in (full, half)]
    assert metrics[1]["ndcg@20"] == pytest.approx(metrics[0]["ndcg@20"], abs=0.05)
    batch = next(iter(data.train))
    losses = []
    for trainer in (full, half):
        torch.manual_seed(2)
        with trainer.autocast():
            parts = trainer.model.eval().calculate_loss(batch)
        losses.append(sum(parts) if isinstance(parts, tuple) else parts)
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.02)
    losses[1].backward()
    assert all(p.dtype == torch.float32 for p in half.model.parameters())


def test_bf16_trains(tiny):
    trainer, data = build(tiny(precision="bf16", epochs=3, learning_rate=0.01, hidden_size=16))
    trainer.fit(data.train, data.valid)
    losses = [record["loss"]["loss"] for record in trainer.history]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec", "IGRSR"])
def test_a_compiled_model_scores_as_the_plain_one(tiny, name, monkeypatch):
    """Traced and run without code generation, which would need a C++ compiler."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **given: real(f, backend="aot_eager", **given))
    plain, data = build(tiny(name, hidden_size=16))
    compiled, _ = build(tiny(name, hidden_size=16, compile=True))
    for trainer in (plain, compiled):
        _randomize(trainer.model)
    assert (compiled.rank(data.valid).rank == plain.rank(data.valid).rank).all()
    batches = list(data.train)[:3]  # of several lengths
    for batch in batches:
        losses = []
        for trainer in (plain, compiled):
            torch.manual_seed(0)  # IGRSR's views are random in eval mode too
            parts = trainer.model.eval().calculate_loss(batch)
            losses.append(sum(parts) if isinstance(parts, tuple) else parts)
        assert losses[1].item() == pytest.approx(losses[0].item(), abs=1e-5)
    assert plain.model.state_dict().keys() == compiled.model.state_dict().keys()


def test_tensorboard_holds_losses_and_metrics(tiny, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer, data = build(tiny(tensorboard=True, epochs=2), tmp_path)
    trainer.fit(data.train, data.valid)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("Loss/Train")) == 2  # RecBole's own names
    assert events.Scalars("Vaild_score")[1].value == pytest.approx(
        trainer.history[1]["valid"]["ndcg@10"]
    )
    assert len(events.Scalars("Loss/Train/loss")) == 2
    assert events.Scalars("Valid/ndcg@10")[1].value == pytest.approx(
        trainer.history[1]["valid"]["ndcg@10"]
    )


def test_tensorboard_has_the_hyper_parameters_with_the_best_metrics(tiny, tmp_path):
    """What the HParams tab reads, in the folder of the curves."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    trainer, data = build(tiny(tensorboard=True, epochs=2, clip_grad_norm=None), tmp_path)
    trainer.fit(data.train, data.valid)
    # One file: of two made in one second, either may be read last, and purges the other's steps.
    (file,) = (tmp_path / "tensorboard").iterdir()
    events = EventAccumulator(str(file))
    events.Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["learning_rate"].number_value == 0.001
    assert values["model"].string_value == "SASRec"
    assert values["passes"].string_value == "all"
    assert values["n_layers"].number_value == 2
    assert "data_path" not in values
    (best,) = events.Scalars("hparam/best_valid_result")
    (named,) = events.Scalars("hparam/ndcg@10")
    assert best.value == named.value == pytest.approx(trainer.best_score)
