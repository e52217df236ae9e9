"""The one reader of atomic files: every cell is text as it stands, every bad line is named."""

import numpy as np
import pytest

from recbole_intent.data.formats.atomic_tables import read_atomic, read_header
from recbole_intent.utils.errors import UserError

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"


@pytest.fixture
def read(tmp_path):
    """Read text or bytes as the interactions of a run."""

    def read_text(content: str | bytes, **options):
        path = tmp_path / "x.inter"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_atomic(path, ids=["user_id", "item_id"], times=["timestamp"], **options)

    return read_text


@pytest.mark.parametrize(
    "name",
    ["NA", "None", "null", "nan", "NaN", "007", "1.0", "1e5", "True", "-", "#N/A", "é", '"', "'a"],
)
def test_ids_are_text(read, name):
    frame = read(f"{HEADER}{name}\ti\t1\nu\t{name}\t2\n").frame
    assert frame["user_id"].tolist() == [name, "u"]
    assert frame["item_id"].tolist() == ["i", name]


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "a\tb\t1\nc\td\t2\n",
        HEADER + "a\tb\t1\nc\td\t2",
        HEADER.replace("\n", "\r\n") + "a\tb\t1\r\nc\td\t2\r\n",
        b"\xef\xbb\xbf" + (HEADER + "a\tb\t1\nc\td\t2\n").encode(),
    ],
    ids=["plain", "no last line end", "CRLF", "byte-order mark"],
)
def test_forms_of_the_same_rows(read, content):
    frame = read(content).frame
    assert frame.to_dict("list") == {
        "user_id": ["a", "c"],
        "item_id": ["b", "d"],
        "timestamp": [1, 2],
    }
    assert frame.index.tolist() == [2, 3]


def test_blank_lines_are_left_out_and_counted(read):
    table = read(HEADER + "\na\tb\t1\n\n\nc\td\t2\n\n")
    assert [table.place(row).rpartition(":")[2] for row in range(2)] == ["3", "6"]


def test_another_encoding_and_separator(read):
    content = "user_id:token,item_id:token,timestamp:float\né,b,1\n"
    for encoding in ("utf-16", "latin-1"):
        with pytest.raises(UserError, match="UTF"):
            read(content.encode(encoding), separator=",")
        table = read(content.encode(encoding), separator=",", encoding=encoding)
        assert table.frame["user_id"].tolist() == ["é"]
    with pytest.raises(UserError, match="encoding: 'no-such' is not known"):
        read(content, encoding="no-such")


def test_nanoseconds_stay_whole(read):
    times = [1_700_000_000_000_000_001, 1_700_000_000_000_000_000]
    frame = read(HEADER + "".join(f"a\tb\t{time}\n" for time in times)).frame
    assert frame["timestamp"].tolist() == times


def test_sequences_and_missing_features(tmp_path):
    path = tmp_path / "x.item"
    path.write_text(
        'item_id:token\tclass:token_seq\tv:float_seq\tp:float\ni\ta "b\t1 2.5\t\nj\t\t\t3\n'
    )
    table = read_atomic(path, ids=["item_id"])
    assert [list(cell) for cell in table.frame["class"]] == [["a", '"b'], []]
    assert [list(cell) for cell in table.frame["v"]] == [[1.0, 2.5], []]
    assert np.isnan(table.frame["p"].iloc[0])
    assert read_header(path) == table.types


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "x.inter: empty file"),
        (HEADER, "x.inter: no interactions below the header"),
        ("\n" + HEADER, "x.inter:1: no header"),
        ("user_id\titem_id\ttimestamp\na\tb\t1\n", "x.inter:1: 'user_id' is not of the form"),
        (HEADER.replace("item_id", "user_id"), "x.inter:1: the column 'user_id' stands twice"),
        (HEADER.replace("item_id", "item"), "x.inter: no column 'item_id'; it has user_id, item,"),
        (HEADER.replace("user_id:token", "user_id:float"), "x.inter:1: the column user_id is decl"),
        (HEADER.replace(":float", ":token"), "x.inter:1: the column timestamp is declared token"),
        (HEADER + "a\tb\t1\na\tb\n", "x.inter:3: 2 cells, but the header names 3"),
        (HEADER + "a\tb\t1\t9\na\tb\t2\t9\n", "x.inter:2: 4 cells, but the header names 3"),
        (HEADER + "\na\tb\t\n", "x.inter:3: timestamp is empty"),
        (HEADER + "a\tb\tsoon\n", "x.inter:2: timestamp 'soon' is not a number"),
        (HEADER + "a\tb\tnan\n", "x.inter:2: timestamp 'nan' is not a number"),
        (HEADER + "a\tb\t1\na\tb\tinf\n", "x.inter:3: timestamp 'inf' is not a number"),
        (HEADER + "a\tb\tTrue\n", "x.inter:2: timestamp 'True' is not a number"),
        (HEADER + f"a\tb\t{'9' * 5000}\n", "x.inter:2: timestamp '9999.*is not a number"),
        (HEADER + "\tb\t1\n", "x.inter:2: user_id is empty"),
        (HEADER + "a\t \t1\n", "x.inter:2: item_id is empty"),
        (HEADER + "a\t[PAD]\t1\n", r"x.inter:2: item_id is '\[PAD\]', the name of padding"),
        (HEADER + "[PAD]\tb\t1\n", r"x.inter:2: user_id is '\[PAD\]', the name of padding"),
        (HEADER + "a \tb\t1\n", "x.inter:2: user_id 'a ' has a blank at an end"),
        (HEADER + "a\0\tb\t1\n", "x.inter:2: a NUL byte"),
        (HEADER + "a\rb\tc\t1\n", "x.inter:2: a carriage return inside the line"),
        (HEADER.encode() + b"a\xff\tb\t1\n", "x.inter:2: not UTF-8"),
        ((HEADER + "a\tb\t1\n").encode("utf-16"), "x.inter: is UTF-16"),
        ((HEADER + "a\tb\t1\n").encode("utf-16-le"), "x.inter:1: a NUL byte"),
    ],
)
def test_a_bad_file_is_named_with_its_line(read, content, message):
    with pytest.raises(UserError, match=message):
        read(content)
