"""Tables with a header line: `interactions.tsv(.gz)` and `items.tsv(.gz)`; comma also works.

Interactions need `user_id`, `item_id` and `position` (0-based, chronological, per user) or
`timestamp` (seconds); `rating` is read where it is. Times may be empty where there is a position.
"""

from pathlib import Path

import pandas as pd

from recbole_intent.data.sources.raw import TYPES, RawData
from recbole_intent.data.sources.reading import (
    files_in,
    first_line,
    header_of,
    numbers,
    read_table,
    require,
)
from recbole_intent.errors import UserError

FORM = "tables with a header line (interactions.tsv: user_id, item_id, position or timestamp)"
KEYS = ("user_id", "item_id", "timestamp", "position", "rating")
COLUMNS = frozenset(KEYS) | set(TYPES)


def recognises(path: Path, columns: dict[str, str]) -> bool:
    """Tell whether a file has a header line with one of our interaction columns.

    A lone file with a tab in its first line counts too, so that a missing column can be named.
    """
    keys = {columns.get(key, key) for key in KEYS}
    if path.is_file() and "\t" in first_line(path):
        return True
    return any(keys & set(_header(file)) for file in files_in(path))


def read(path: Path, columns: dict[str, str]) -> RawData:
    """Read the interactions table of a file or folder, and the items table beside it.

    Raises:
        UserError: a column is missing or a value is no number; several files could be meant.
    """
    user, item = columns.get("user_id", "user_id"), columns.get("item_id", "item_id")
    tables = [file for file in files_in(path) if len(_header(file)) > 1]
    with_user = [file for file in tables if user in _header(file)]
    if len(with_user) > 1:
        raise UserError(
            f"{path}: {with_user[0].name} and {with_user[1].name} both hold interactions; "
            "give the right one by --source=FILE"
        )
    file = with_user[0] if with_user else tables[0]
    items_file = next((f for f in tables if f != file and item in _header(f)), None)
    interactions = read_interactions(file, _separator(file), columns)
    items = None
    if items_file is not None:
        text = {ours: theirs for ours, theirs in columns.items() if ours not in KEYS}
        require(_header(items_file), text, items_file)
        frame = read_table(items_file, _separator(items_file), set())
        items = tidy_items(frame.rename(columns={v: k for k, v in columns.items()}), items_file)
    return RawData(interactions, items, [file], items_file)


def read_interactions(file: Path, separator: str, columns: dict[str, str]) -> pd.DataFrame:
    """Read one interactions table into the columns of `RawData.interactions`."""
    names = header_of(file, separator)
    needed = {key: columns.get(key, key) for key in KEYS}
    optional = {"rating", "position"} - set(columns)
    if needed["position"] in names:
        optional.add("timestamp")
    present = {k: v for k, v in needed.items() if v in names or k not in optional}
    require(names, present, file)
    frame = read_table(file, separator, {present["user_id"], present["item_id"]})
    frame = frame[list(present.values())].set_axis(list(present), axis=1)
    for key in set(present) & {"timestamp", "position", "rating"}:
        frame[key] = numbers(frame[key], file, key)
    if "timestamp" not in frame:
        frame["timestamp"] = float("nan")
    if "position" in frame:
        frame["position"] = _whole(frame["position"], file)
    return frame.assign(file=0)


def tidy_items(items: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Make attribute lists and prices of an items table uniform; a second row of an item is bad.

    `attr_N` is an attribute whose name is lost, so it says nothing as text and is left out.
    """
    twice = items["item_id"].duplicated().to_numpy()
    if twice.any():
        row = int(twice.argmax())
        raise UserError(
            f"{file} line {items.index[row]}: item {items['item_id'].iloc[row]!r} stands twice; "
            "remove one of its lines"
        )
    if "attributes" in items:
        items["attributes"] = [
            " ; ".join(name for name in text.split(" ; ") if not name.startswith("attr_"))
            for text in items["attributes"]
        ]
    if "price" in items:
        items["price"] = numbers(items["price"], file, "price")
    return items


def _whole(values: pd.Series, file: Path) -> pd.Series:
    bad = (values.isna() | (values % 1 != 0)).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{file} line {values.index[row]}: position is empty or no whole number; every "
            "interaction needs one"
        )
    return values.astype("int64")


def _separator(file: Path) -> str:
    return "\t" if "\t" in first_line(file) else ","


def _header(file: Path) -> list[str]:
    if first_line(file).lstrip()[:1] in ("{", "["):
        return []
    return header_of(file, _separator(file))
