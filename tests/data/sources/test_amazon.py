import json
import math

import pytest

from recbole_intent.data.sources import read
from recbole_intent.utils.errors import UserError

REVIEWS_2014 = [
    {"reviewerID": "u", "asin": "B1", "overall": 5.0, "unixReviewTime": 86400, "reviewText": "x"},
    {"reviewerID": "v", "asin": "B2", "overall": 2.0, "unixReviewTime": 172800},
]
# The real meta files of 2014 are Python literals with single quotes, not JSON.
META_2014 = (
    "{'asin': 'B1', 'title': \"Tim's &amp; Tom's\", 'price': 4.5, 'brand': 'Tomy', "
    "'categories': [['Toys', 'Cars'], ['Gifts']], 'description': 'two\\nlines'}\n"
    "{'asin': 'B9', 'title': 'nobody bought it'}\n"
    "{'asin': 'B2', 'related': {'also_bought': ['B1']}}\n"
)


def test_2014(write):
    write("meta_Toys.json.gz", META_2014)
    raw = read(write("reviews_Toys_5.json.gz", REVIEWS_2014).parent)
    assert raw.interactions["timestamp"].tolist() == [86400, 172800]
    assert raw.interactions["rating"].tolist() == [5, 2]
    items = raw.items.set_index("item_id")
    assert items.index.tolist() == ["B1", "B2"]
    assert items.loc["B1"].tolist() == [
        "Tim's & Tom's",
        "Tomy",
        "Toys > Cars ; Gifts",
        4.5,
        "two\nlines",
    ]
    assert items.loc["B2", "title"] == ""
    assert math.isnan(items.loc["B2", "price"])


def test_reviews_as_python_literals(write):
    text = "".join(f"{review!r}\n" for review in REVIEWS_2014)
    assert read(write("reviews.json", text)).interactions["item_id"].tolist() == ["B1", "B2"]


def test_literals_are_never_run(write, tmp_path):
    trap = f"{{'asin': 'B1', 'title': open({str(tmp_path / 'trap')!r}, 'w')}}\n"
    write("meta.json", META_2014 + trap)
    path = write("reviews.json", REVIEWS_2014)
    with pytest.raises(UserError, match=r"meta\.json line 4: neither JSON nor a Python literal"):
        read(path.parent)
    assert not (tmp_path / "trap").exists()


def test_2018(write):
    write("meta_x.json", [{"asin": "B1", "category": ["Toys", "Cars"], "price": "$1,299.00"}])
    raw = read(write("x_5.json", REVIEWS_2014).parent)
    assert raw.items[["categories", "price"]].values.tolist() == [["Toys > Cars", 1299.0]]


def test_2023_has_milliseconds_and_parent_asin(write):
    review = {"user_id": "u", "parent_asin": "P", "asin": "child", "rating": 4.0}
    write(
        "meta_x.jsonl",
        [{"parent_asin": "P", "title": "T", "store": "S", "description": ["a", "b"]}],
    )
    raw = read(write("x.jsonl", [{**review, "timestamp": 1588687728923}]).parent)
    assert raw.interactions["timestamp"].tolist() == [1588687728.923]
    assert raw.interactions["item_id"].tolist() == ["P"]
    assert raw.items.iloc[0][["title", "brand", "description"]].tolist() == ["T", "S", "a b"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"reviewerID": "u", "asin": "B1"}, r"line 2: no field 'unixReviewTime'.*timestamp=NAME"),
        ({"reviewerID": "u", "asin": "B1", "unixReviewTime": "x"}, "line 2: timestamp 'x'"),
        ({"reviewerID": "u", "asin": "B1", "unixReviewTime": math.nan}, "line 2: timestamp nan"),
    ],
)
def test_bad_reviews_are_named(write, second, message):
    with pytest.raises(UserError, match=message):
        read(write("reviews.json", [REVIEWS_2014[0], second]))


def test_line_cut_in_the_middle(write):
    text = json.dumps(REVIEWS_2014[0])
    with pytest.raises(UserError, match=r"line 2: neither JSON"):
        read(write("reviews.json", f"{text}\n{text[:40]}\n"))


def test_column_mapping(write):
    review = {"reviewerID": "u", "asin": "B1", "unixReviewTime": 1, "when": 7}
    raw = read(write("reviews.json", [review]), {"timestamp": "when"})
    assert raw.interactions["timestamp"].tolist() == [7]


def test_mapped_columns_do_not_make_any_json_an_amazon_file(write):
    path = write("log.json", [{"uid": "u", "iid": "i", "timestamp": 5}])
    with pytest.raises(UserError, match="not a known form"):
        read(path, {"user_id": "uid", "item_id": "iid"})


def test_two_meta_files(write):
    write("meta_a.json", META_2014)
    write("meta_b.json", META_2014)
    with pytest.raises(UserError, match=r"meta_a\.json and meta_b\.json both describe items"):
        read(write("reviews.json", REVIEWS_2014).parent)


def test_a_style_sheet_is_no_price(write):
    write("meta.json", [{"asin": "B1", "title": "T", "price": ".a-box { top: 5px }"}])
    items = read(write("reviews.json", REVIEWS_2014).parent).items
    assert math.isnan(items["price"].iloc[0])
