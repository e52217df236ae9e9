import pytest

from recbole_intent.data.sources import read
from recbole_intent.utils.errors import UserError

HEAD = "user_id,parent_asin,rating,timestamp\n"


def test_rating_only_with_meta(write):
    write("meta_X.jsonl.gz", [{"parent_asin": "P1", "title": "One"}])
    raw = read(write("X.csv.gz", HEAD + "u,P1,5.0,1588687728923\n").parent)
    assert raw.interactions["timestamp"].tolist() == [1588687728.923]
    assert raw.interactions["rating"].tolist() == [5]
    assert raw.items["title"].tolist() == ["One"]


def test_split_files_are_joined_in_the_order_of_time(write):
    head = HEAD.strip() + ",history\n"
    write("X.test.csv", head + "u,P3,5.0,3000,P1 P2\n")
    write("X.valid.csv", head + "u,P2,5.0,2000,P1\n")
    raw = read(write("X.train.csv", head + "u,P1,5.0,1000,\n").parent)
    assert raw.interactions["item_id"].tolist() == ["P1", "P2", "P3"]
    assert raw.place(2).endswith("X.test.csv line 2")


def test_incomplete_split_is_refused(write):
    write("X.train.csv", HEAD + "u,P1,5.0,1000\n")
    with pytest.raises(UserError, match="no train, valid and test"):
        read(write("X.test.csv", HEAD + "u,P3,5.0,3000\n").parent)


def test_missing_column(write):
    with pytest.raises(UserError, match=r"no column 'timestamp'"):
        read(write("X.csv", "user_id,parent_asin,rating\nu,P,5\n"))
