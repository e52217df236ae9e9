"""NCL is trained as RecBole's own trainer trains it, and a kill changes nothing."""

import sys

import pytest
import torch
from recbole.model.general_recommender import NCL as RecBoleNCL
from recbole.trainer import NCLTrainer as RecBoleNCLTrainer

from recbole_intent.runs.experiment import build
from recbole_intent.trainer.base import LAST
from recbole_intent.trainer.checkpoint import load_checkpoint
from recbole_intent.utils.errors import UserError

# Weights of the losses that show in four epochs of a small dataset.
SMALL = {"num_clusters": 5, "ssl_reg": 1e-3, "proto_reg": 1e-3, "m_step": 2, "warm_up_step": 1}


class Batches(list):
    """The same batches in every epoch, so that both trainers meet them in one order."""

    def set_epoch(self, epoch: int) -> None:
        pass


def test_weights_are_those_of_recboles_model_and_trainer(tiny, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)  # RecBole's leaves TensorBoard files where it is
    made = tiny("NCL", epochs=4, checkpoint_dir=str(tmp_path), **SMALL)
    trainer, data = build(made)
    again, _ = build(tiny("NCL", epochs=4, fast_sequences=False, **SMALL))
    assert type(again.model) is RecBoleNCL
    batches = Batches(data.train)
    reference = RecBoleNCLTrainer(made, again.model)
    start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for name, value in again.model.state_dict().items():
        assert torch.equal(value, start[name])
    trainer.fit(batches, data.valid)
    assert "clustering" not in capfd.readouterr().err  # faiss has nothing to say
    reference.fit(batches, None, verbose=False, saved=False)
    expected = again.model.state_dict()
    for name, value in trainer.model.state_dict().items():
        assert (value - start[name]).abs().max() > 1e-3
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-5)
    losses = [sum(record["loss"].values()) for record in trainer.history]
    theirs = [total / len(batches) for total in reference.train_loss_dict.values()]
    assert losses == pytest.approx(theirs, rel=1e-5)
    assert [len(record["loss"]) for record in trainer.history] == [2, 3, 3, 3]


@pytest.mark.parametrize("epochs_before", [1, 2, 3])
def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tiny, tmp_path, epochs_before):
    """Also between two E-steps, whose prototypes would be others by now."""
    whole, data = build(tiny("NCL", epochs=4, **SMALL))
    whole.fit(data.train, data.valid)

    first, data = build(tiny("NCL", epochs=4, **SMALL), tmp_path)
    first.epochs = epochs_before
    first.fit(data.train, data.valid)
    second, data = build(tiny("NCL", epochs=4, **SMALL), tmp_path)
    second.fit(data.train, data.valid)
    assert [r["loss"] for r in second.history] == [r["loss"] for r in whole.history]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])
    kept = load_checkpoint(tmp_path / LAST)["extra"]
    assert torch.equal(kept["user_2cluster"], whole.model.user_2cluster)


def test_more_clusters_than_users_are_refused_before_anything_is_trained(tiny):
    with pytest.raises(UserError, match=r"num_clusters: 1000 are more than the 41 users or items"):
        build(tiny("NCL"))


def test_without_faiss_the_extra_is_named(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"NCL needs faiss \(extra ann\): pip install faiss-cpu"):
        build(tiny("NCL", num_clusters=5))
