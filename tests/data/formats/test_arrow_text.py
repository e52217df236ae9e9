"""The fast way of reading and writing tables gives what the plain one gives, bit for bit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.generate import SHAPES, blocks, write
from recbole_intent.data.formats import atomic_tables
from recbole_intent.data.formats.arrow_text import whole_numbers
from recbole_intent.data.prepare.atomic_files import write_table
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.data.sources import reading

SHAPE = SHAPES["ml-20m"].of(3000)
CELLS = ["1", "-7", "007", "3.5", "1e3", "12345678901234567", "0.1", "", "0x1F", "x", "+5", " 8"]


@pytest.mark.parametrize("cell", CELLS)
def test_numbers_of_atomic_files(tmp_path, cell):
    types = {"item_id": "token", "n": "float", "t": "token"}
    data = f"item_id:token\tn:float\tt:token\ni\t4\t\nj\t{cell}\té \"'\nk\t2.25\t NA\n".encode()
    given = data, types, "\t", ["item_id", "n", "t"], ["n"]
    plain = atomic_tables._plain_frame(*given)
    usual = atomic_tables._any_frame(tmp_path, *given)
    pd.testing.assert_frame_equal(plain, usual, check_index_type=False)


@pytest.mark.parametrize("rows", ["i\t1\n\nj\t2\n", "i\t1\nj\n", "i\t1\t2\n", "", "\t1\n"])
def test_irregular_tables_are_left_to_the_usual_reader(rows):
    data = f"a:token\tb:token\n{rows}".encode()
    types = {"a": "token", "b": "token"}
    assert atomic_tables._plain_frame(data, types, "\t", ["a", "b"], []) is None


@pytest.mark.parametrize("cell", ["", "0x1F", "1.0", "--1", "9" * 20])
def test_only_whole_numbers(cell):
    assert whole_numbers(pd.Series(["1", cell], dtype="str")) is None
    assert whole_numbers(pd.Series(["-1", "08"], dtype="str")).tolist() == [-1, 8]


def test_prepare_writes_the_same_bytes(tmp_path, monkeypatch):
    log = pd.concat([part.to_pandas() for part in blocks(SHAPE, seed=1)], ignore_index=True)
    counts = (len(log), log["userId"].nunique())
    assert counts == (SHAPE.interactions, SHAPE.users)
    for kind in ("parquet", "csv"):
        write(tmp_path / f"log.{kind}", SHAPE, seed=1)
    quoted = log.astype({"rating": "str"})
    quoted.to_csv(tmp_path / "quoted.csv", index=False, quoting=1, lineterminator="\r\n")
    written = {}
    for source in ("log.parquet", "log.csv", "quoted.csv"):
        prepare("x", tmp_path / source, tmp_path / source[:-3])
        written[source] = (tmp_path / source[:-3] / "x.inter").read_bytes()
    monkeypatch.setattr(reading, "plain_numbers", lambda values: None)
    monkeypatch.setattr(reading, "_plain_table", lambda *given: None)
    prepare("x", tmp_path / "log.csv", tmp_path / "slow")
    written["slow"] = (tmp_path / "slow" / "x.inter").read_bytes()
    rows = log.itertuples(index=False)  # in order already
    lines = [f"{user}\t{item}\t{rating:.15g}\t{time}\n" for user, item, rating, time in rows]
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    expected = (head + "".join(lines)).encode()
    assert {name for name, data in written.items() if data == expected} == set(written)


def test_a_table_is_written_as_its_cells(tmp_path):
    frame = pd.DataFrame(
        {
            "item_id": pd.Categorical(["b", "a", "é"], ["unused", "a", "b", "é"]),
            "price": [0.1 + 0.2, np.nan, -1e30],
            "title": ['"a\tb"', "", " c\n"],
        }
    )
    file = tmp_path / "x.item"
    with file.open("wb") as opened:
        types = {"item_id": "token", "price": "float", "title": "token_seq"}
        write_table(frame, types, opened)
    rows = ["b\t0.3\t'a b'", "a\t\t", "é\t-1e+30\tc"]
    head = "item_id:token\tprice:float\ttitle:token_seq"
    assert Path(file).read_text().split("\n") == [head, *rows, ""]
