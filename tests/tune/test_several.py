"""Searches of several models with one budget, and the values that they leave for `--tuned`."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from recbole_intent.cli.main import main
from recbole_intent.config.config import Config
from recbole_intent.config.presets import tuned_path
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.paths import properties_dir

SPACE = "learning_rate: [0.001, 0.01]\n"
SMALL = {
    "device": "cpu",
    "hidden_size": 8,
    "embedding_size": 8,
    "train_batch_size": 64,
    "MAX_ITEM_LIST_LENGTH": 8,
    "tensorboard": False,
}


@pytest.fixture
def properties(tmp_path, monkeypatch) -> Path:
    """A copy of the properties, where tuned values are written and read."""
    copy = tmp_path / "properties"
    shutil.copytree(properties_dir(), copy)
    shutil.rmtree(copy / "tuned", ignore_errors=True)
    monkeypatch.setattr("recbole_intent.config.presets.properties_dir", lambda: copy)
    return copy


def _tuned(properties: Path, model: str, text: str) -> Path:
    path = properties / "tuned" / "tiny" / f"{model}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _words(data_path: Path, **options) -> list[str]:
    given = {"dataset": "tiny", "data_path": data_path, **SMALL, **options}
    return [f"--{key}={value}" for key, value in given.items()]


def test_models_get_one_budget_and_their_best_values_load(
    tiny_path, tmp_path, properties, monkeypatch, capsys
):
    (tmp_path / "space.yaml").write_text(SPACE)
    folder = tmp_path / "searches"
    options = {"search": tmp_path / "space.yaml", "output": folder, "checkpoint_dir": tmp_path}
    words = _words(tiny_path, **options)
    command = ["tune", "--models=GRU4Rec,NARM", "--budget=2x2", "--write-tuned", *words]
    assert main(command) == 0
    said = capsys.readouterr().out
    report = (folder / "report.md").read_text()
    assert report in said
    assert "Budget of every model: 2 trials × 2 epochs = 4 epochs; random search" in report
    rows = {line.split("|")[1].strip(): line for line in report.splitlines() if "|" in line}
    for model in ("GRU4Rec", "NARM"):
        result = json.loads((folder / model / "result.json").read_text())
        cells = [cell.strip() for cell in rows[model].split("|")[2:-1]]
        assert cells[0] == "2"
        assert cells[-2:] == [f"{result[part]['ndcg@10']:.4f}" for part in ("valid", "test")]
        written = yaml.safe_load((properties / f"tuned/tiny/{model}.yaml").read_text())
        assert written.pop("learning_rate") in (0.001, 0.01)
        assert written.keys() <= SMALL.keys() - {"device"}  # no epochs: they are the protocol's
    # A run with the tuned values is the best trial, and says that it is tuned.
    run = _words(tiny_path, epochs=2, output=tmp_path / "run")
    assert main(["--model=NARM", "--tuned", *run]) == 0
    again = json.loads((tmp_path / "run/result.json").read_text())
    assert (again["tuned"], result["tuned"]) == (True, False)
    assert again["valid"] == result["valid"]
    assert again["test"] == result["test"]
    # Finished searches are read; without --resume they are not touched.
    assert main(command) == 2
    assert "--resume continues it" in capsys.readouterr().err

    def no_ray(*_, **__):
        raise AssertionError("Ray was started")

    monkeypatch.setattr("ray.init", no_ray)
    assert main([*command, "--resume"]) == 0
    assert (folder / "report.md").read_text() == report


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models=SASRec,SASRec"], "--models: SASRec is named twice"),
        (["--models=SASRec", "--model=SASRec"], "give either --model"),
        (["--models=SASRec,Nobody"], "Nobody"),
        (["--models=SASRec,Pop"], "Pop"),
        (["--models=SASRec", "--budget=16"], "--budget=16: not TRIALSx"),
        (["--models=SASRec", "--budget=16x", "--trials=3"], "--budget=16x says how many"),
        (["--models=SASRec", "--budget=2x3", "--epochs=4"], "--budget=2x3 says how many"),
        (["--model=SASRec", "--write-tuned", "--preset=paper"], "preset"),
        (["--model=SASRec", "--tuned=True"], "tuned"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_mistake_comes_before_any_search(words, message, tiny_path, tmp_path, capsys):
    output = tmp_path / "searches"
    given = ["--dataset=tiny", f"--data_path={tiny_path}", f"--output={output}"]
    assert main(["tune", *given, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not output.exists()


def _config(tiny_path, **values) -> Config:
    return Config("SASRec", "tiny", config_dict={"data_path": str(tiny_path), **values})


def test_tuned_values_win_over_defaults_and_lose_to_the_user(tiny_path, properties, tmp_path):
    _tuned(properties, "SASRec", "learning_rate: 0.03\nn_layers: 1\n")
    config = _config(tiny_path, tuned=True, n_layers=3)
    assert (config["learning_rate"], config["n_layers"], config["tuned"]) == (0.03, 3, True)
    assert not config.idle()
    assert _config(tiny_path)["learning_rate"] == 0.001
    # A run's own file is enough later on, whatever becomes of the tuned values.
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.plain()))
    tuned_path("SASRec", "tiny").unlink()
    tuned_path("SASRec", "tiny").parent.rmdir()
    later = Config.of_run(tmp_path)
    assert later.plain() == config.plain()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there are no tuned values of SASRec for tiny .*--write-tuned"),
        ("learning_rte: 1\n", r"SASRec\.yaml: learning_rte: unknown key; did you mean learning_"),
        ("hidden_size: -1\n", r"SASRec\.yaml: hidden_size: -1 is not a whole number"),
        ("preset: paper\n", r"SASRec\.yaml: preset: has no place among tuned values"),
    ],
)
def test_missing_or_wrong_tuned_values_are_named(text, message, tiny_path, properties):
    if text is not None:
        _tuned(properties, "SASRec", text)
    _tuned(properties, "BERT4Rec", "learning_rate: 0.03\n")
    with pytest.raises(UserError, match=message):
        _config(tiny_path, tuned=True)


def test_a_derived_class_does_not_take_the_values_of_its_base(tiny_path, properties):
    _tuned(properties, "SASRec", "learning_rate: 0.03\n")
    with pytest.raises(UserError, match="no tuned values of IGRSR"):
        Config("IGRSR", "tiny", config_dict={"data_path": str(tiny_path), "tuned": True})


def test_tuned_values_and_a_preset_are_refused_together(tiny_path, properties):
    with pytest.raises(UserError, match="tuned: does not go with preset: 'paper'"):
        Config(
            "IGRSR",
            "tiny",
            config_dict={"data_path": str(tiny_path), "tuned": True, "preset": "paper"},
        )
