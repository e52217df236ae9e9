"""Yelp Open Dataset: `yelp_academic_dataset_review.json` and `..._business.json`, JSON lines.

Source: https://business.yelp.com/data/resources/open-dataset/ (its licence must be accepted).
"""

from pathlib import Path

import pandas as pd

from recbole_intent.data.sources.json_lines import keys_of, read_reviews, records_of
from recbole_intent.data.sources.raw import RawData
from recbole_intent.data.sources.reading import files_in
from recbole_intent.utils.errors import UserError

FORM = "Yelp's JSON (yelp_academic_dataset_review.json, with ..._business.json for text)"
FIELDS = {"user_id": "user_id", "item_id": "business_id", "timestamp": "date", "rating": "stars"}
COLUMNS = frozenset(FIELDS)
ITEM_KEYS = ("city", "state")


def recognises(path: Path, columns: dict[str, str]) -> bool:
    """Whether a file's first record is a Yelp review."""
    return _find(path, {"review_id", "business_id"}) is not None


def read(path: Path, columns: dict[str, str]) -> RawData:
    """Read the reviews of a file or folder, and the businesses next to them.

    Raises:
        UserError: a field is missing, a date is invalid, or a line is damaged.
    """
    file = _find(path, {"review_id", "business_id"})
    if file is None:
        raise UserError(f"{path}: no reviews of Yelp")
    interactions = read_reviews(file, {**FIELDS, **columns})
    interactions["timestamp"] = _seconds(interactions["timestamp"], file)
    businesses = _find(path, {"business_id", "name", "categories"})
    items = None
    if businesses is not None:
        items = _read_businesses(businesses, set(interactions["item_id"].cat.categories))
    types = {"city": "token", "state": "token"}
    return RawData(interactions, items, [file], businesses, types=types)


def _read_businesses(file: Path, wanted: set[str]) -> pd.DataFrame:
    rows = [
        {
            "item_id": record["business_id"],
            "title": record.get("name") or "",
            "categories": record.get("categories") or "",
            **{key: record.get(key) or "" for key in ITEM_KEYS},
        }
        for _, record in records_of(file)
        if record.get("business_id") in wanted
    ]
    return pd.DataFrame(rows, columns=["item_id", "title", "categories", *ITEM_KEYS])


def _seconds(dates: pd.Series, file: Path) -> pd.Series:
    times = pd.to_datetime(dates, format="ISO8601", errors="coerce")
    bad = (times.isna() & dates.notna() & (dates != "")).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{file} line {dates.index[row]}: date {dates.iloc[row]!r} is not a date such as "
            "2018-07-07 22:09:11"
        )
    return (times - pd.Timestamp(0)) / pd.Timedelta(seconds=1)


def _find(path: Path, keys: set[str]) -> Path | None:
    return next((file for file in files_in(path) if keys <= keys_of(file)), None)
