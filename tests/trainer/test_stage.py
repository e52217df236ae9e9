"""Stages and E-steps, written as the recipes of CONTRIBUTING.md say: exact resume, best weights."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from recbole_intent.runs.experiment import build
from recbole_intent.trainer.base import BEST, LAST, Trainer
from recbole_intent.trainer.checkpoint import load_checkpoint

TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text("utf-8")


@pytest.fixture
def recipe(tiny, monkeypatch):
    """Trainer and data of a recipe's code, on SASRec: `recipe("ClusteredTrainer", folder)`."""

    def make(name: str, folder: Path | None = None, epochs: int = 4) -> tuple:
        blocks = re.findall(r"```python\n(.*?)```", TEXT.partition("## Recipes")[2], re.S)
        (code,) = (block for block in blocks if f"class {name}" in block)
        module = ModuleType("recipe_of_contributing")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(code, module.__dict__)
        config = tiny(epochs=epochs, learning_rate=0.01, hidden_size=16, ema_decay=0.9)
        config["num_clusters"] = 4
        trainer, data = build(config, folder)
        return getattr(module, name)(config, trainer.model, folder), data

    return make


def _same(one: Trainer, other: Trainer) -> None:
    assert [r["loss"] for r in one.history] == [r["loss"] for r in other.history]
    assert one.best_valid == other.best_valid
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name


NAMES = ["ClusteredTrainer", "TwoStageTrainer"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_recipe_resumes_exactly_after_any_epoch(recipe, tmp_path, monkeypatch, name, done):
    whole, data = recipe(name)
    whole.fit(data.train, data.valid)
    first, data = recipe(name, tmp_path)
    real = first._save

    def dies(is_best: bool) -> None:
        if first.next_epoch > done:
            # `best.pt` is newer than `last.pt`, as after a kill between the two.
            first._save_best()
            raise KeyboardInterrupt
        real(is_best)

    first._save = dies
    with pytest.raises(KeyboardInterrupt):
        first.fit(data.train, data.valid)
    second, data = recipe(name, tmp_path)
    second.fit(data.train, data.valid)
    _same(second, whole)


def test_a_later_stage_starts_from_the_best_weights_and_learns_its_parameters(recipe, tmp_path):
    trainer, data = recipe("TwoStageTrainer", tmp_path)
    started = {}
    begin = trainer._begin_stage

    def noting(index: int) -> None:
        started["best"] = load_checkpoint(tmp_path / BEST)["state_dict"]
        begin(index)

    trainer._begin_stage = noting
    trainer.fit(data.train, data.valid)
    assert [r["stage"] for r in trainer.history] == ["pretrain", "pretrain", "tune", "tune"]
    assert trainer.best_epoch >= 2  # of the last stage
    weights = load_checkpoint(tmp_path / LAST)["state_dict"]
    moved = {
        name for name, value in weights.items() if not torch.equal(value, started["best"][name])
    }
    assert moved
    assert all(name.startswith("trm_encoder.") for name in moved)
