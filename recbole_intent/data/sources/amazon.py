"""Amazon reviews, one record per line: 2014 and 2018 (`reviewerID`), 2023 (`parent_asin`).

Reviews of 2014 and 2018 have `reviewerID`, `asin`, `unixReviewTime` (seconds) and `overall`;
those of 2023 `user_id`, `parent_asin`, `timestamp` (milliseconds) and `rating`. Item text is in
`meta_*.json(l)(.gz)`; that of 2014 holds Python literals, which are parsed, never evaluated.

Sources: McAuley et al., "Image-based recommendations on styles and substitutes", SIGIR 2015;
Ni et al., EMNLP 2019; Hou et al., 2024 (https://amazon-reviews-2023.github.io).
"""

import html
import re
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_intent.data.sources.json_lines import finite, keys_of, parsed, read_reviews
from recbole_intent.data.sources.raw import RawData
from recbole_intent.data.sources.reading import files_in, lines_of
from recbole_intent.utils.errors import UserError

FORM = "Amazon 2014, 2018 or 2023 reviews as lines of records (with meta_* beside them for text)"
FIELDS_2014 = {
    "user_id": "reviewerID",
    "item_id": "asin",
    "timestamp": "unixReviewTime",
    "rating": "overall",
}
FIELDS_2023 = {
    "user_id": "user_id",
    "item_id": "parent_asin",
    "timestamp": "timestamp",
    "rating": "rating",
}
COLUMNS = frozenset(FIELDS_2014)
# Fields that no other data set has, so that mapped columns do not make any JSON an Amazon file.
MARKS = {"asin": {"reviewerID", "asin"}, "parent_asin": {"parent_asin"}}
MS_PER_SECOND = 1000
ITEM_KEY = re.compile(r"""["'](?:parent_asin|asin)["']\s*:\s*["']([^"']+)["']""")
PRICE = re.compile(r"(?:from )?\$?(\d+(?:,\d{3})*(?:\.\d+)?)")


def recognises(path: Path, columns: dict[str, str]) -> bool:
    """Whether a file's first record names a reviewer and a product as in Amazon data."""
    return any(_fields(file, columns) for file in files_in(path))


def read(path: Path, columns: dict[str, str]) -> RawData:
    """Read the reviews of a file or folder, and the item text next to them.

    Raises:
        UserError: a field is missing, a value is not a number, a line is damaged, or several
            files could be the reviews.
    """
    known = {file: fields for file in files_in(path) if (fields := _fields(file, columns))}
    files = [*known]
    if len(files) > 1:
        raise UserError(
            f"{path}: {files[0].name} and {files[1].name} both hold reviews; give the right one "
            "by --source=FILE, or keep one in the folder"
        )
    file, fields = next(iter(known.items()))
    interactions = read_reviews(file, {**fields, **columns})
    seconds = finite(interactions["timestamp"], file, "timestamp")
    interactions["timestamp"] = seconds / MS_PER_SECOND if fields is FIELDS_2023 else seconds
    meta = meta_file(path)
    items = None
    if meta is not None:
        items = read_items(meta, set(interactions["item_id"].cat.categories))
    return RawData(interactions, items, [file], meta)


def meta_file(path: Path) -> Path | None:
    """Find the file of item records in a folder: they have a product and a title, no reviewer."""
    files = [
        file
        for file in files_in(path)
        if (keys := keys_of(file)) & {"asin", "parent_asin"}
        and not keys & {"reviewerID", "user_id"}
    ]
    if len(files) > 1:
        raise UserError(
            f"{path}: {files[0].name} and {files[1].name} both describe items; keep one of them"
        )
    return files[0] if files else None


def read_items(file: Path, wanted: set[str]) -> pd.DataFrame:
    """Read the records of the wanted items.

    Args:
        file: `meta_*.json(l)(.gz)` of 2014, 2018 or 2023.
        wanted: the item ids to keep. A meta file describes many times more items than a 5-core
            holds, and literals are slow to parse: other lines are skipped after reading the id.

    Returns:
        A frame with `item_id`, `title`, `brand`, `categories` (path joined by " > ", several
        joined by " ; "), `price` (float, NaN if unknown) and `description`.
    """
    rows: dict[str, dict[str, Any]] = {}
    for number, line in lines_of(file):
        keys = ITEM_KEY.findall(line)
        if keys and not wanted.intersection(keys):
            continue
        record = parsed(line, file, number)
        item = str(record.get("parent_asin") or record.get("asin"))
        if item in wanted and item not in rows:  # 2018 repeats some items word for word
            rows[item] = _item(item, record)
    names = ["item_id", "title", "brand", "categories", "price", "description"]
    return pd.DataFrame(list(rows.values()), columns=names)


def _fields(file: Path, columns: dict[str, str]) -> dict[str, str] | None:
    keys = keys_of(file)
    for fields in (FIELDS_2014, FIELDS_2023):
        needed = {**fields, **columns}
        # both ids are required; a missing time is reported by name when reading
        if {needed["user_id"], needed["item_id"]} <= keys and keys & MARKS[fields["item_id"]]:
            return fields
    return None


def _item(item: str, record: dict[str, Any]) -> dict[str, Any]:
    details = record.get("details")
    brand = record.get("brand") or (details.get("Brand") if isinstance(details, dict) else None)
    return {
        "item_id": item,
        "title": _text(record.get("title")),
        "brand": _text(brand or record.get("store")),
        "categories": _categories(record.get("categories") or record.get("category")),
        "price": _price(record.get("price")),
        "description": _text(record.get("description")),
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_text(part) for part in value)
    return html.unescape(str(value)).strip() if value is not None else ""


def _categories(value: Any) -> str:
    if not isinstance(value, list):
        return _text(value)
    paths = value if value and isinstance(value[0], list) else [value]
    return " ; ".join(" > ".join(_text(name) for name in path) for path in paths)


def _price(value: Any) -> float:
    # 2018 and 2023 write "$1,299.00", "from 4.99" or a range, whose lower end is taken; where the
    # crawl went wrong, the field holds a style sheet, with numbers further on
    match = PRICE.match(str(value)) if value is not None else None
    return float(match[1].replace(",", "")) if match else float("nan")
