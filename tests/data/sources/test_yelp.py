import pytest

from recbole_intent.data.sources import read
from recbole_intent.utils.errors import UserError

REVIEW = {"review_id": "r", "user_id": "u", "business_id": "b", "stars": 4.0}
BUSINESS = {"business_id": "b", "name": "Café", "categories": "Food, Bar", "city": "Reno"}
TIP = {"user_id": "u", "business_id": "b", "text": "t", "date": "2018-07-07 22:09:11"}


def test_reviews_and_businesses(write):
    write("business.json", [BUSINESS, {**BUSINESS, "business_id": "other"}])
    write("a_tip.json", [TIP])
    raw = read(write("review.json", [{**REVIEW, "date": "2018-07-07 22:09:11"}]).parent)
    assert raw.interactions["timestamp"].tolist() == [1531001351]
    assert raw.interactions["rating"].tolist() == [4]
    assert raw.items.values.tolist() == [["b", "Café", "Food, Bar", "Reno", ""]]


def test_bad_date(write):
    with pytest.raises(UserError, match=r"line 1: date 'yesterday'"):
        read(write("review.json", [{**REVIEW, "date": "yesterday"}]))
