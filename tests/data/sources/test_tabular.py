import gzip
import random

import pytest

from recbole_intent.data.sources import read
from recbole_intent.utils.errors import UserError

ROWS = "user_id\titem_id\tposition\ttimestamp\nu\ta\t1\t86400\nu\tb\t0\t86400\nv\ta\t0\t\n"


def test_reads_interactions_and_items(write):
    write("items.tsv", 'item_id\ttitle\tattributes\na\t"A" toy\tattr_7 ; Red\nb\t\tattr_1\n')
    raw = read(write("interactions.tsv.gz", ROWS).parent)
    frame = raw.interactions
    assert frame["user_id"].tolist() == ["u", "u", "v"]
    assert frame["position"].tolist() == [1, 0, 0]
    assert frame["timestamp"].isna().tolist() == [False, False, True]
    assert raw.place(2).endswith("interactions.tsv.gz line 4")
    assert raw.items["title"].tolist() == ['"A" toy', ""]
    assert raw.items["attributes"].tolist() == ["Red", ""]  # attr_N says nothing


def test_column_mapping_and_commas(write):
    path = write("log.csv", "who,what,timestamp\nu,a,5\n")
    raw = read(path, {"user_id": "who", "item_id": "what"})
    assert raw.interactions[["user_id", "item_id"]].values.tolist() == [["u", "a"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id\tthing\ttimestamp\nu\ta\t1\n", r"no column 'item_id'.*--columns=item_id=NAME"),
        ("user_id\titem_id\nu\ta\n", r"no column 'timestamp'"),
        ("user_id\titem_id\ttimestamp\nu\ta\t1\nu\tb\tsoon\n", r"line 3: timestamp 'soon'"),
        ("user_id\titem_id\ttimestamp\nu\ta\tnan\n", r"line 2: timestamp 'nan'"),
        ("user_id\titem_id\ttimestamp\nu\ta\tinf\n", r"line 2: timestamp 'inf'"),
        ("user_id\titem_id\ttimestamp\nu\ta\t1\nu\tb\t1\t2\n", r"line 3, saw 4"),
        ("user_id\titem_id\tposition\nu\ta\t0.5\n", r"line 2: position"),
    ],
)
def test_bad_content_is_named(write, text, message):
    with pytest.raises(UserError, match=message):
        read(write("interactions.tsv", text))


@pytest.mark.parametrize("separator", ["\t", ","])
def test_ids_of_digits_stay_as_they_are_written(write, separator):
    rows = [("user_id", "item_id", "timestamp"), ("007", "1", "3"), ("7", "010", "4")]
    text = "".join(separator.join(row) + "\n" for row in rows)
    frame = read(write("interactions.tsv", text)).interactions
    assert frame["user_id"].tolist() == ["007", "7"]
    assert frame["item_id"].tolist() == ["1", "010"]


def test_a_column_that_stands_twice_is_named(write):
    path = write("interactions.tsv", "user_id\titem_id\titem_id\ttimestamp\nu\ti\tj\t1\n")
    with pytest.raises(UserError, match=r"line 1: the column 'item_id' stands twice"):
        read(path)


def test_item_that_stands_twice(write):
    write("interactions.tsv", ROWS)
    path = write("items.tsv", "item_id\ttitle\na\tA\nb\tB\na\tC\n")
    with pytest.raises(UserError, match=r"items\.tsv line 4: item 'a' stands twice"):
        read(path.parent)


def test_mapped_text_column(write):
    write("items.tsv", "item_id\tname\na\tA\n")
    folder = write("interactions.tsv", ROWS).parent
    assert read(folder, {"title": "name"}).items["title"].tolist() == ["A"]
    with pytest.raises(UserError, match=r"items\.tsv: no column 'label'.*--columns=title=NAME"):
        read(folder, {"title": "label"})


def test_truncated_gzip(write):
    rng = random.Random(0)
    rows = "".join(f"u{rng.random()}\ti{rng.random()}\t0\t5\n" for _ in range(50_000))
    path = write("interactions.tsv.gz", ROWS + rows)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"interactions\.tsv\.gz: the gzip file is truncated"):
        read(path)


def test_damaged_gzip(write):
    path = write("interactions.tsv.gz", ROWS)
    data = bytearray(gzip.compress(ROWS.encode()))
    data[-6] ^= 0xFF  # within the checksum
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="damaged"):
        read(path)


@pytest.mark.parametrize("name", ["interactions.tsv", "interactions.tsv.gz"])
def test_not_utf8(write, name):
    path = write(name, ROWS.encode() + "w\tcafé\t0\t5\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"line 5: not UTF-8"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16_is_named(write, encoding):
    text = ROWS if encoding == "utf-16" else "\ufeff" + ROWS
    with pytest.raises(UserError, match="is UTF-16; convert the file to UTF-8"):
        read(write("inter.tsv", text.encode(encoding)))


def test_real_toys(shared_datasets):
    raw = read(shared_datasets / "amazon-toys")
    assert len(raw.interactions) == 167_597
    assert len(raw.items) == 11_924
