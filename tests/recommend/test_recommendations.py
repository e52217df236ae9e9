"""The table in three forms of file: the same rows, whole or not there."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from recbole_intent.recommend.recommendations import check_output, write_recommendations
from recbole_intent.utils.errors import UserError


def _frames() -> list[pd.DataFrame]:
    """Two chunks; the first has no user id at all."""
    scores = np.array([1 / 3, -2e-12, 7.25, np.pi], dtype=np.float32)
    table = pd.DataFrame(
        {
            "history": [1, 1, 2, 3],
            "user_id": pd.array([None, None, 'Zoë, "Z"', "007"], dtype="str"),
            "rank": [1, 2, 1, 1],
            "item_id": ["предмет", "a,b", 'say "i"', "42"],
            "title": ["", "漢字\u2028x", "line\nbreak", "N/A"],
            "score": scores,
            "source": ["model", "model", "popular", "model"],
        }
    )
    return [table.iloc[:2], table.iloc[2:3], table.iloc[:0], table.iloc[3:]]


def _read(path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        texts = dict.fromkeys(("user_id", "item_id", "title"), str)
        frame = pd.read_csv(path, dtype={**texts, "score": np.float32}, keep_default_na=False)
        frame["user_id"] = frame["user_id"].where(frame["user_id"] != "")
        return frame
    # By its line ends alone: a text may hold other breaks.
    frame = pd.DataFrame([json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]])
    return frame.astype({"user_id": "str", "score": np.float32})


@pytest.mark.parametrize("name", ["r.parquet", "r.csv", "r.jsonl", "R.JSONL"])
def test_every_form_gives_the_same_rows_back(tmp_path, name):
    frames = _frames()
    assert write_recommendations(tmp_path / name, iter(frames)) == 4
    found = _read((tmp_path / name).rename(tmp_path / name.lower()))
    pd.testing.assert_frame_equal(
        found, pd.concat(frames, ignore_index=True), check_exact=True, check_dtype=False
    )
    assert [path.name for path in tmp_path.iterdir()] == [name.lower()]


@pytest.mark.parametrize("name", ["r.parquet", "r.csv", "r.jsonl"])
def test_a_mistake_on_the_way_leaves_the_older_file(tmp_path, name):
    def broken():
        yield _frames()[0]
        raise UserError("line 7")

    (tmp_path / name).write_text("older")
    with pytest.raises(UserError, match="line 7"):
        write_recommendations(tmp_path / name, broken())
    assert (tmp_path / name).read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_mistakes_are_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"must end in \.parquet, \.csv, \.jsonl"):
        check_output("recs.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_recommendations(tmp_path / "file/r.csv", iter(_frames()))
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if not installed
    with pytest.raises(UserError, match="pip install pyarrow"):
        check_output("recs.parquet")
