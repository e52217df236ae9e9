"""The demos: that their options are a run's, and what they say; not their minutes."""

import dataclasses
import shutil

import pytest

from recbole_intent.cli import demo
from recbole_intent.cli.main import main
from recbole_intent.compare.entries import check_protocol
from recbole_intent.config.config import Config
from recbole_intent.enrich.options import read_options


def _check(entries, shared) -> None:
    """The demo's real values can be compared."""
    check_protocol(
        {
            entry.label: Config(entry.model, "ml-100k", config_dict={**shared, **entry.values})
            for entry in entries
        }
    )


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tiny_path, tmp_path) -> None:
    """Train a moment on `tiny` in a folder of this test instead."""
    _check(demo._ON_HISTORIES, {"epochs": demo._EPOCHS, **demo._HISTORIES})
    small = {"data_path": str(tiny_path), "hidden_size": 32, "MAX_ITEM_LIST_LENGTH": 8}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_WHOLE", "tiny")
    monkeypatch.setattr(demo, "_HISTORIES", {**demo._HISTORIES, **small, "show_progress": False})
    monkeypatch.setattr(demo, "_EPOCHS", 1)


def test_it_shows_both_models_then_reports_then_trains_anew(short, capsys):
    said = []
    for words in (["demo"], ["demo"], ["demo", "--fresh"]):
        assert main(words) == 0
        said.append(capsys.readouterr().out)
    assert "SASRec valid" in said[0]
    assert "IGRSR valid" in said[0]
    assert "Differences from IGRSR" in said[0]
    assert "compare-tiny-" in said[0].splitlines()[-1]
    assert "results of IGRSR: saved/IGRSR-tiny-2020-" in said[0]
    assert ["finished before; demo --fresh" in text for text in said] == [False, True, False]


def test_sessions_intents_backbone_control_and_tests(monkeypatch, session_path, tmp_path, capsys):
    """On few sessions, with metadata for all of them and a moment's training."""
    shutil.copytree(session_path / "walks", tmp_path / "dataset/walks")
    (tmp_path / "dataset/walks/walks.prepared.json").unlink()  # its items are changed
    items = [f"i{item}\tc{item % 4}" for item in range(30)]
    lines = ["item_id:token\tclass:token_seq", *items, "late\tc0"]
    (tmp_path / "dataset/walks/walks.item").write_text("\n".join(lines) + "\n")
    asked = read_options(given=demo._ASKED)
    assert (asked.llm.source, asked.rest, asked.limit) == ("embedded", "metadata", 3)
    small = {"epochs": 1, "hidden_size": 8, "inner_size": 8, "n_layers": 1, "topk": 10}
    monkeypatch.setattr(demo, "_DATASET", "walks")
    monkeypatch.setattr(demo, "_ASKED", {"intents": "metadata"})
    monkeypatch.setattr(demo, "_SESSIONS", {**demo._SESSIONS, **small, "show_progress": False})
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--model=VELI4SBR"]) == 0
    said = capsys.readouterr().out
    assert "WITHOUT a language model" in said
    assert "by metadata (class of the items; no language model)" in said
    for label in ("VELI4SBR", "backbone", "shuffled"):
        assert f"{label} valid" in said
        assert f"results of {label}: saved/VELI4SBR-walks-2020-" in said
    assert "Differences from VELI4SBR" in said
    (report,) = tmp_path.glob("saved/compare-walks-*/report.md")
    assert "recbole_intent demo --model=VELI4SBR\n" in report.read_text()
    assert "s / 1,000 users" in report.read_text()


def test_both_tasks_of_isrf_beside_others(monkeypatch, tiny_path, tmp_path, capsys):
    """On `tiny` under the name of ml-100k, with real vectors of its classes."""
    folder = tmp_path / demo._TEXTS_PATH / "ml-100k"
    folder.mkdir(parents=True)
    for suffix in (".inter", ".item"):
        shutil.copy(tiny_path / f"tiny/tiny{suffix}", folder / f"ml-100k{suffix}")
    _check(demo._ON_TASKS, demo._TASKS)
    small = {
        "LightGCN": {"embedding_size": 8},
        "SASRec": {"hidden_size": 8, "inner_size": 8},
        "ISRF": {"hidden_size": 8, "inner_size": 8, "n_negatives": 9, "n_similar_users": 5},
    }
    entries = tuple(
        dataclasses.replace(entry, values={**entry.values, **small[entry.model]})
        for entry in demo._ON_TASKS
    )
    shared = {**demo._TASKS, "show_progress": False, "epochs": 1, "n_candidates": 9}
    monkeypatch.setattr(demo, "_ON_TASKS", entries)
    monkeypatch.setattr(demo, "_TASKS", shared)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--model=ISRF"]) == 0
    said = capsys.readouterr().out
    assert "WITHOUT a\nlanguage model" in said
    for label in ("LightGCN", "SASRec", "ISRF"):
        assert f"{label} valid" in said
        assert f"results of {label}: saved/isrf-demo/{label}-ml-100k-2020-" in said
    assert "approximation: align_every: 16" in said
    direct = said[said.index("pictures …") :]
    assert "| LightGCN" in direct
    assert "1 + 9 candidates" in direct
