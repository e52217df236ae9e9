"""The distiller's encoder: kept once for all runs that would train the same."""

from recbole_intent.experiment import build


def test_other_training_targets_get_another_encoder(walks, tmp_path):
    small = {"distiller_size": 8, "hidden_size": 16, "inner_size": 16, "n_layers": 1, "epochs": 1}
    kept = []
    for which in ("all", "last", "last"):
        made = walks("IGRSR", train_targets=which, checkpoint_dir=str(tmp_path), **small)
        trainer, data = build(made)
        trainer.fit(data.train, data.valid)
        kept.append(len(list((tmp_path / "distillers").iterdir())))
    assert kept == [1, 2, 2]
