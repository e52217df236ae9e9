"""`prepare --sessions` as a whole: its files, real data, and what it refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_intent.cli.main import main
from recbole_intent.data.formats.session_files import read_split
from recbole_intent.data.prepare.dataset_properties import paper_counts
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.data.prepare.sessions import SessionOptions
from recbole_intent.utils.errors import UserError

HEAD = "user_id\titem_id\ttimestamp\n"


def _frames(folder: Path, name: str) -> tuple[pd.DataFrame, pd.Series]:
    inter = pd.read_csv(folder / f"{name}.inter", sep="\t", dtype={0: str, 1: str})
    return inter, read_split(folder / f"{name}.split", "\t")


def _check(folder: Path, name: str, options: SessionOptions) -> pd.DataFrame:
    """What must hold of the files of any session dataset; the .inter file with the parts."""
    inter, part = _frames(folder, name)
    session, item, time = (inter.iloc[:, i] for i in (0, 1, inter.shape[1] - 1))
    changes = session.ne(session.shift())
    assert changes.sum() == session.nunique()  # the rows of a session lie side by side
    assert session[changes].tolist() == part.index.tolist()  # in the order of the split file
    length = session.value_counts()
    assert length.min() >= options.min_session_length
    assert length.max() <= options.max_session_length
    assert (time.diff()[~changes] > 0).all()
    last = time.groupby(session).max()
    of = {name: last[part[part == name].index] for name in ("train", "valid", "test")}
    assert of["train"].max() <= of["valid"].max() <= of["test"].max()
    row_part = part[session].to_numpy()
    assert item.isin(item[row_part == "train"]).all()
    # no session of valid or test shares an event with another: a user's times never repeat
    user = session.str.rpartition("#")[0]
    assert not pd.DataFrame({"user": user, "time": time}).duplicated().any()
    known = pd.read_csv(folder / f"{name}.item", sep="\t", dtype=str, quoting=3).iloc[:, 0]
    assert set(known) == set(item)
    return inter.assign(part=row_part)


def test_files_are_those_of_any_dataset_and_a_split(session_path):
    folder = session_path / "walks"
    _check(folder, "walks", SessionOptions(8, 3))
    assert sorted(path.name for path in folder.iterdir()) == [
        f"walks.{suffix}" for suffix in ("inter", "item", "prepared.json", "split", "yaml")
    ]
    report = json.loads((folder / "walks.prepared.json").read_text())
    assert report["options"]["sessions"] == {
        "max_session_length": 8,
        "min_session_length": 3,
        "session_gap": None,
    }
    assert set(report["sha256"]) == {f"walks.{s}" for s in ("inter", "item", "split", "yaml")}
    assert report["counts"]["users_without_time"] == 1
    assert [part["part"] for part in report["counts"]["parts"]] == ["train", "valid", "test"]
    inter, part = _frames(folder, "walks")
    assert inter.columns.tolist() == ["user_id:token", "item_id:token", "timestamp:float"]
    assert "timeless#1" not in part.index
    assert part["z#1"] == "test"  # three of its four items are left
    assert inter[inter["user_id:token"] == "z#1"]["item_id:token"].tolist() == ["i1", "i2", "i4"]


def test_a_prepared_dataset_gives_the_same_as_its_source(session_path, tmp_path):
    prepare("plain", session_path / "raw.tsv", tmp_path / "plain")
    options = SessionOptions(8, 3)
    prepare("walks", tmp_path / "plain", tmp_path / "again", sessions=options)
    for suffix in ("inter", "split", "yaml"):
        name = f"walks.{suffix}"
        assert (tmp_path / "again" / name).read_bytes() == (
            session_path / "walks" / name
        ).read_bytes()


def test_without_sessions_their_files_go_away(session_path, tmp_path):
    prepare("d", session_path / "raw.tsv", tmp_path, sessions=SessionOptions(8, 3))
    assert (tmp_path / "d.split").exists()
    prepare("d", session_path / "raw.tsv", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.inter", "d.prepared.json"]
    assert "parts" not in json.loads((tmp_path / "d.prepared.json").read_text())["counts"]


def test_a_gap_ends_a_session(session_path, tmp_path):
    gap = 5000
    prepare("d", session_path / "raw.tsv", tmp_path, sessions=SessionOptions(8, 2, gap))
    inter, _ = _frames(tmp_path, "d")
    steps = inter.groupby("user_id:token")["timestamp:float"].diff().dropna()
    assert 2000 < steps.max() <= gap


def test_users_with_order_alone_make_no_sessions(write, tmp_path):
    rows = "".join(f"u{user}\ti{n}\t{n}\n" for user in range(9) for n in range(9))
    with pytest.raises(UserError, match=r"x\.tsv: no user has times, only an order"):
        prepare("d", write("x.tsv", HEAD + rows), tmp_path / "o", sessions=SessionOptions(4, 2))
    rows = "".join(f"u\ti{n}\t{n + 5}\n" for n in range(4))
    with pytest.raises(UserError, match=r"y\.tsv: no session is left for valid"):
        prepare("d", write("y.tsv", HEAD + rows), tmp_path / "o", sessions=SessionOptions(4, 2))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("form", ["--sessions=", "--sessions "])
def test_on_the_command_line(session_path, tmp_path, capsys, form):
    words = f"{form}max_session_length=8,min_session_length=3".split()
    given = ["prepare", "--dataset=d", f"--source={session_path / 'raw.tsv'}"]
    assert main([*given, f"--data_path={tmp_path}", *words]) == 0
    shown = capsys.readouterr().out
    assert "sessions" in shown.splitlines()[1]
    assert re.search(r"^users without time \(left out\) +1$", shown, re.MULTILINE)
    assert (tmp_path / "d/d.split").is_file()
    assert main([*given, f"--data_path={tmp_path}", "--sessions=20"]) == 2
    assert "'20' is not NAME=NUMBER" in capsys.readouterr().err


def test_ml_100k_of_recboles_wheel(tmp_path):
    """The options come from the dataset's properties; a plain pandas script gave these counts."""
    statistics = prepare("ml-100k-sessions", data_path=tmp_path)
    assert (statistics.users, statistics.items, statistics.interactions) == (5318, 1341, 99_016)
    assert [part.sessions for part in statistics.parts] == [4254, 532, 532]
    frame = _check(tmp_path / "ml-100k-sessions", "ml-100k-sessions", SessionOptions(20, 3))
    assert "rating:float" in frame
    assert not (tmp_path / "ml-100k-sessions/ml-100k-sessions.user").exists()


def test_amazon_beauty(shared_datasets, tmp_path):
    name = "amazon-beauty-sessions"
    statistics = prepare(name, shared_datasets / "amazon-beauty", data_path=tmp_path)
    _check(tmp_path / name, name, SessionOptions(20, 3))
    parts = statistics.parts
    assert statistics.users_without_time == 51
    assert parts[0].sessions == parts[0].cut
    for part in parts[1:]:
        assert part.sessions < part.cut
    # days tie, so that the shares are near those of the paper's procedure, not equal
    assert np.allclose(np.array([part.cut for part in parts]) / 23_641, [0.8, 0.1, 0.1], atol=5e-3)
    table = statistics.table(paper_counts(name))
    assert "7,524 NOT equal" in table
    assert "VELI4SBR, Table 1" in table.splitlines()[0]
