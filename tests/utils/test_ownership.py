"""Folders and files of somebody else stay as they are, whatever `--output` and `--fresh` say."""

import json
import os
import shutil
from pathlib import Path

import pytest

from recbole_intent.cli.main import main
from recbole_intent.runs.experiment import run
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write, folder_lock
from recbole_intent.utils.ownership import (
    COMPARISON,
    MARKER,
    REPRODUCTION,
    RUN,
    SEARCH,
    claimed,
    clear,
)

KINDS = [RUN, SEARCH, COMPARISON, REPRODUCTION]


def _tree(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else ""
        for path in folder.rglob("*")
    }


# What somebody may keep in a folder: name -> content; a tuple is a link.
FOREIGN = {
    "a lone file": {"thesis.txt": "mine"},
    "names of ours": {"tensorboard/mine": "1", "evaluations/mine.json": "{}", "log": "my diary"},
    "weights": {"last.pt": "somebody's", "best.pt": "somebody's"},
    "a dataset": {"d.inter": "user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\n"},
    "a configuration": {"config.yaml": "colour: blue\n", "data.json": "[]", "notes": "mine"},
    "settings of a sweep": {"sweep.json": '{"wandb": 1}', "trials/0001/mine": "1"},
    "a report": {"report.md": "# My report\n", "mine.txt": "1"},
    "a lock": {"lock": "Yale"},
    "a linked lock": {"lock": ("elsewhere",)},
    "a hidden file": {".git/HEAD": "ref"},
}


def _make(folder: Path, files: dict) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, tuple):
            path.symlink_to(folder.parent / content[0])
        else:
            path.write_text(content)


def _command(kind: str, tiny_path: Path, folder: Path) -> list[str]:
    shared = [f"--data_path={tiny_path}", "--device=cpu", "--epochs=1", "--hidden_size=8"]
    shared += ["--dataset=tiny", f"--output={folder}", "--show_progress=False"]
    shared += [f"--checkpoint_dir={folder.parent / 'saved'}"]
    return {
        "run": ["--model=SASRec", *shared],
        "compare": ["compare", "--models=SASRec,GRU4Rec", *shared],
        "tune": ["tune", "--model=SASRec", *shared],
    }[kind]


@pytest.mark.parametrize("flag", [[], ["--fresh"]], ids=["", "fresh"])
@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("command", ["run", "compare", "tune"])
def test_a_folder_of_somebody_else_is_refused(command, files, flag, tiny_path, tmp_path, capsys):
    (tmp_path / "elsewhere").write_text("mine")
    _make(tmp_path / "p", files)
    before = _tree(tmp_path)
    assert main([*_command(command, tiny_path, tmp_path / "p"), *flag]) == 2
    said = capsys.readouterr().err
    assert "choose another --output" in said
    assert len(said.splitlines()) == 1
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("command", ["run", "compare", "tune"])
@pytest.mark.parametrize("place", ["/", "file", "link", "dangling", "file/below", "n" * 300])
def test_a_place_that_is_no_folder_is_refused(command, place, tiny_path, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    _make(tmp_path / "there", {"mine.txt": "1"})
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = _tree(tmp_path)
    assert main([*_command(command, tiny_path, tmp_path / place), "--fresh"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_claim_is_kept_and_undone(kind, tmp_path):
    """The marker is there first, names its kind, and goes where nothing else was written."""
    folder = tmp_path / "a/b"

    def fail() -> None:
        with claimed(folder, kind, keep=["log"]):
            assert json.loads((folder / MARKER).read_text())["kind"] == kind.name
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not (tmp_path / "a").exists()
    with claimed(folder, kind, keep=["log"]):
        pass
    with claimed(folder, kind, keep=["log"]):  # ours now
        pass
    for other in KINDS:
        if other is not kind:
            with pytest.raises(UserError, match=f"is the folder of a {kind.name}"):
                clear(folder, other)


@pytest.fixture(scope="module")
def finished(tiny_path, tmp_path_factory) -> Path:
    overrides = {"data_path": str(tiny_path), "device": "cpu", "epochs": 1, "hidden_size": 8}
    folder = tmp_path_factory.mktemp("finished") / "run"
    return run(
        "SASRec", "tiny", overrides={**overrides, "show_progress": False}, output=folder
    ).folder


def test_fresh_removes_what_the_run_wrote_and_nothing_else(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/events.out.tfevents.1").write_text("mine")
    mine = {
        "notes.txt": "1",
        "tensorboard/mine": "1",
        "evaluations/mine.json": "1",
        "evaluations/sub/0123456789.json": "1",
    }
    _make(folder, mine)
    (folder / "evaluations/0123456789.json").write_text("{}")
    (folder / "linked").symlink_to(tmp_path / "other")
    clear(folder, RUN)
    left = {name for name, content in _tree(folder).items() if content != ""}
    assert left == {*mine, "linked", MARKER}
    assert (tmp_path / "other/events.out.tfevents.1").exists()


@pytest.mark.parametrize("damage", [None, "data.json", "config.yaml"])
def test_a_run_of_an_older_version_is_recognised(damage, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / MARKER).unlink()
    if damage:
        (folder / damage).write_text("")
        (folder / "notes.txt").write_text("mine")
        with pytest.raises(UserError, match="is not that of a run"):
            clear(folder, RUN)
        (folder / "notes.txt").unlink()
    with claimed(folder, RUN, keep=[]):
        clear(folder, RUN)
    assert {path.name for path in folder.iterdir()} == {MARKER}


def test_a_finished_run_is_reported_where_nothing_can_be_written(finished, tiny_path, monkeypatch):
    """No lock is taken; as root every folder can be written, so opening for writing is refused."""

    def refuse(*_):
        raise AssertionError("written")

    overrides = {"data_path": str(tiny_path), "device": "cpu", "epochs": 1, "hidden_size": 8}
    before = {path.name: path.stat().st_mtime_ns for path in [finished, *finished.iterdir()]}
    monkeypatch.setattr("recbole_intent.utils.ownership.folder_lock", refuse)
    done = run("SASRec", "tiny", overrides={**overrides, "show_progress": False}, output=finished)
    assert done.reported
    assert {
        path.name: path.stat().st_mtime_ns for path in [finished, *finished.iterdir()]
    } == before


# --- temporary files -------------------------------------------------------------------------


def test_dead_temporaries_of_the_same_target_go_and_others_stay(tmp_path):
    names = [".a.csv.1.tmp", ".a.csv.99999.tmp", ".b.csv.1.tmp", ".a.csv.tmp", "a.csv.1.tmp"]
    for name in names:
        (tmp_path / name).write_text("half")
    with atomic_write(tmp_path / "a.csv") as mine:
        mine.write_text("whole")
        living = mine.name
        with atomic_write(tmp_path / "b.csv") as other:
            other.write_text("whole")
    assert living == f".a.csv.{os.getpid()}.tmp"
    assert {p.name for p in tmp_path.iterdir()} == {"a.csv", "b.csv", ".a.csv.tmp", "a.csv.1.tmp"}


def test_the_temporary_of_a_living_process_stays(tmp_path):
    with atomic_write(tmp_path / "a") as mine:
        mine.write_text("half")
        if (child := os.fork()) == 0:  # another process writes the same file meanwhile
            with atomic_write(tmp_path / "a") as theirs:
                theirs.write_text("theirs")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert mine.read_text() == "half"
        assert (tmp_path / "a").read_text() == "theirs"
    assert (tmp_path / "a").read_text() == "half"


@pytest.mark.parametrize("place", ["file/x.csv", "/proc/x.csv", "x" * 300, "file"])
def test_cleaning_up_never_hides_the_first_error(place, tmp_path):
    (tmp_path / "file").write_text("")
    place = tmp_path / place

    def fail() -> None:
        with atomic_write(place) as temporary:
            temporary.write_text("x")
            place.unlink()
            place.mkdir()  # a file cannot take the place of a folder

    with pytest.raises(UserError, match="cannot be written"):
        fail()


@pytest.mark.parametrize("lock", ["Yale", "pid 1 and more"])
def test_a_lock_that_is_not_ours_is_left_alone(lock, tmp_path):
    (tmp_path / "lock").write_text(lock)
    with pytest.raises(UserError, match="is not a lock of this package"), folder_lock(tmp_path):
        pass
    assert (tmp_path / "lock").read_text() == lock
