"""The distiller: kept once for all runs that would train the same, and read by all models alike."""

import pytest
import torch

from recbole_intent.config.registry import get_spec
from recbole_intent.data.loading.loader import SequenceTrainLoader
from recbole_intent.models.distilled.trainer import DistilledTrainer
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError


def test_other_training_targets_get_another_encoder(walks, tmp_path):
    small = {"distiller_size": 8, "hidden_size": 16, "inner_size": 16, "n_layers": 1, "epochs": 1}
    kept = []
    for which in ("all", "last", "last"):
        made = walks("IGRSR", train_targets=which, checkpoint_dir=str(tmp_path), **small)
        trainer, data = build(made)
        trainer.fit(data.train, data.valid)
        kept.append(len(list((tmp_path / "distillers").iterdir())))
    assert kept == [1, 2, 2]


@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
def test_all_models_start_their_items_from_one_distiller(tiny, tmp_path, loss_type):
    """Nothing learns at a learning rate of 0, so that the start can be read off afterwards."""
    small = {"distiller_size": 8, "hidden_size": 16, "epochs": 1, "learning_rate": 0.0}
    tables = []
    for model in ("IGRSR", "SASRec", "GRU4Rec"):
        width = {"embedding_size": 16} if model == "GRU4Rec" else {}
        loss = {"loss_type": loss_type} if model != "IGRSR" else {}
        made = tiny(
            model, item_init="distiller", checkpoint_dir=str(tmp_path), **small, **width, **loss
        )
        trainer, data = build(made)
        trainer.fit(data.train, data.valid)
        assert trainer.pretraining_seconds > 0
        tables.append(trainer.model.item_embedding.weight.detach())
    (folder,) = (tmp_path / "distillers").iterdir()  # the same for all three
    weights = torch.load(folder / "best.pt")["state_dict"]["item_embedding.weight"]
    for table in tables:
        assert torch.equal(table[:, :8], weights)
        assert not torch.equal(table[:, 8:], torch.zeros_like(table[:, 8:]))


@pytest.mark.parametrize(
    ("model", "options"),
    [("SASRec", {}), ("GRU4Rec", {"item_init": "auto"}), ("IGRSR", {"use_lid": False})],
)
def test_a_model_without_a_distiller_trains_none(tiny, tmp_path, model, options):
    small = {"hidden_size": 16, "epochs": 1, "checkpoint_dir": str(tmp_path)}
    trainer, data = build(tiny(model, **small, **options))
    trainer.fit(data.train, data.valid)
    assert trainer.pretraining_seconds == 0
    assert not (tmp_path / "distillers").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"fast_sequences": False}, "fast_sequences"),
        ({"distiller_size": 128}, "distiller_size"),
        ({"distiller_size": 7}, "distiller_size"),
        ({"distiller_passes": 0}, "distiller_passes"),
        ({"item_init": "zeros"}, "item_init"),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec"])
def test_a_start_that_cannot_be_is_named(tiny, tmp_path, model, options, word):
    with pytest.raises(UserError, match=word):
        build(tiny(model, **{"item_init": "distiller", **options}), tmp_path / "run")


def test_a_variant_of_a_model_is_trained_as_the_model_is(tmp_path, monkeypatch):
    (tmp_path / "variants.py").write_text(
        "from recbole_intent.models.igrsr.model import IGRSR\nclass Mine(IGRSR):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert get_spec("variants:Mine").trainer_class() is DistilledTrainer


@pytest.mark.parametrize("scope", ["prefix", "causal"])
def test_a_user_is_read_by_a_distiller_that_never_saw_it(tiny, tmp_path, monkeypatch, scope):
    """The users that each distiller is trained on, and the weights that read each user."""
    seen = []
    make = SequenceTrainLoader.__init__

    def noting(self, config, dataset, *args, **options):
        make(self, config, dataset, *args, **options)
        if config["model"] == "SASRec":
            batches = list(self)
            seen.append({user for batch in batches for user in batch["user_id"].tolist()})

    monkeypatch.setattr(SequenceTrainLoader, "__init__", noting)
    config = tiny(
        "IGRSR",
        distiller_folds=3,
        intent_scope=scope,
        hidden_size=16,
        epochs=1,
        checkpoint_dir=str(tmp_path),
    )
    trainer, data = build(config)
    trainer.fit(data.train, data.valid)
    model, everybody = trainer.model, set(range(1, 61))
    assert model.wanted_distillers == [None, 0, 1, 2]
    assert seen[0] == everybody  # of item_init alone
    for fold in range(3):
        assert seen[1 + fold] == {user for user in everybody if user % 3 != fold}
    # Which weights read a user: those of the others can be anything.
    batch = next(iter(data.valid)).interaction
    before = model.eval().user_vectors(batch)
    with torch.no_grad():
        model.other_distillers[1].encoder.LayerNorm.bias += 1.0
    is_changed = (model.user_vectors(batch) != before).any(dim=1)
    assert torch.equal(is_changed, batch["user_id"] % 3 == 2)
    # Kept for the next run, each under a name of its own.
    assert len(list((tmp_path / "distillers").iterdir())) == 4
    again, data = build(config)
    again.fit(data.train, data.valid)
    assert len(seen) == 4


def test_one_given_distiller_cannot_be_several(tiny, tmp_path):
    trainer, data = build(tiny("IGRSR", epochs=1, checkpoint_dir=str(tmp_path), hidden_size=16))
    trainer.fit(data.train, data.valid)
    (folder,) = (tmp_path / "distillers").iterdir()
    given = {"lid_checkpoint": str(folder / "best.pt"), "hidden_size": 16}
    with pytest.raises(UserError, match="distiller_folds"):
        build(tiny("IGRSR", distiller_folds=2, **given), tmp_path / "run")
