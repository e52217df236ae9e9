"""The demo: that its options are a run's, and what it says; not its six minutes."""

import pytest

from recbole_intent import demo
from recbole_intent.cli import main
from recbole_intent.config import Config
from recbole_intent.experiment import run


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tiny_path, tmp_path) -> None:
    """Train a moment on `tiny` in a folder of this test instead."""
    small = {
        "data_path": str(tiny_path),
        "epochs": 1,
        "hidden_size": 32,
        "MAX_ITEM_LIST_LENGTH": 8,
        "show_progress": False,
    }

    def run_tiny(model, dataset, overrides, **given):
        assert dataset == "ml-100k"
        Config(model, dataset, config_dict=overrides)
        return run(model, "tiny", overrides={**overrides, **small}, **given)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "run", run_tiny)


def test_it_shows_both_models_then_reports_then_trains_anew(short, capsys):
    said = []
    for words in (["demo"], ["demo"], ["demo", "--fresh"]):
        assert main(words) == 0
        said.append(capsys.readouterr().out)
    assert "SASRec valid" in said[0]
    assert "IGRSR valid" in said[0]
    assert "approximation: windows: strided" in said[0]
    assert "results of IGRSR: saved/IGRSR-tiny-2020-" in said[0]
    assert ["finished before; demo --fresh" in text for text in said] == [False, True, False]
