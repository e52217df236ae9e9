"""Every form is recognised by its content, whatever the file is called."""

import pytest

from recbole_intent.data.sources import (
    amazon,
    amazon_csv,
    atomic,
    detect,
    sequences,
    tabular,
    yelp,
)
from recbole_intent.utils.errors import UserError

HEADS = {
    amazon: '{"reviewerID": "u1", "asin": "i1", "unixReviewTime": 5}\n',
    amazon_csv: "user_id,parent_asin,rating,timestamp\nu,i,5,1000\n",
    yelp: '{"review_id": "r", "user_id": "u", "business_id": "b", "date": "2018-01-01 00:00:00"}\n',
    tabular: "user_id\titem_id\tposition\nu\ti\t0\n",
    sequences: "u1 i1 i2 i3\n",
}


@pytest.mark.parametrize("module", HEADS, ids=lambda module: module.__name__.rsplit(".")[-1])
@pytest.mark.parametrize("name", ["anything", "anything.gz"])
def test_each_form_finds_its_source(write, module, name):
    path = write(name, HEADS[module])
    for place in (path, path.parent):
        assert detect(place) is module


def test_atomic_files_are_told_by_typed_header(write):
    path = write("x.inter", "user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\n")
    assert detect(path) is atomic
    assert detect(path.parent) is atomic


def test_tables_go_before_sequences_of_the_same_folder(write):
    write("sequences.txt", HEADS[sequences])
    assert detect(write("interactions.tsv", HEADS[tabular]).parent) is tabular


def test_unknown_form_lists_the_known_ones(write):
    path = write("README.md", "Some words about data, and nothing else.\n")
    with pytest.raises(UserError, match=r"README\.md: not a known form.*Amazon.*Yelp.*user item"):
        detect(path)


def test_columns_that_a_form_does_not_have(write):
    path = write("x.txt", HEADS[sequences])
    with pytest.raises(
        UserError, match=r"--columns=user_id=who: .*x\.txt.*these can be named: none"
    ):
        detect(path, {"user_id": "who"})
    path = write("x.tsv", HEADS[tabular])
    with pytest.raises(UserError, match=r"--columns=usr=who.*named: .*item_id.*user_id"):
        detect(path, {"usr": "who"})


def test_absent_path_and_empty_folder(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such file"):
        detect(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no files"):
        detect(tmp_path)


@pytest.mark.parametrize("name", ["interactions.tsv", "interactions.tsv.gz"])
def test_empty_file(write, name):
    with pytest.raises(UserError, match=r"interactions\.tsv.*is empty"):
        detect(write(name, ""))
