"""Reads files with one record per line, as JSON or as a Python literal, without executing them."""

import ast
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_intent.data.sources.reading import first_line, lines_of
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import FAILURES


def record_of(line: str) -> dict[str, Any] | None:
    """Parse one line: JSON first (fast), then a Python literal; None if it is neither."""
    try:
        record = json.loads(line)
    except FAILURES:
        try:
            record = ast.literal_eval(line)
        except (SyntaxError, *FAILURES):
            return None
    return record if isinstance(record, dict) else None


def keys_of(file: Path) -> set[str]:
    """The keys of a file's first record, empty if it holds no records."""
    line = first_line(file)
    record = record_of(line) if line.startswith("{") else None
    return set(record or ())


def records_of(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, record) of every line.

    Raises:
        UserError: a line is not a record, or the file is damaged.
    """
    for number, line in lines_of(file):
        yield number, parsed(line, file, number)


def parsed(line: str, file: Path, number: int) -> dict[str, Any]:
    """Parse a line that must be a record, or raise an error that names the line."""
    record = record_of(line)
    if record is None:
        raise UserError(f"{file} line {number}: neither JSON nor a Python literal; mend the line")
    return record


def read_reviews(file: Path, fields: dict[str, str], number_of_file: int = 0) -> pd.DataFrame:
    """Read one review per line.

    Args:
        file: the file.
        fields: `user_id`, `item_id`, `timestamp` and `rating` → key of the record. `rating` may
            be missing from the records.
        number_of_file: value of the column `file`.

    Returns:
        A frame as `RawData.interactions`; `timestamp` holds the raw values, not yet numbers.

    Raises:
        UserError: a record lacks a field, or a line is not a record.
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user_codes, item_codes, times, ratings, numbers = [], [], [], [], []
    user_key, item_key = fields["user_id"], fields["item_id"]
    time_key, rating_key = fields["timestamp"], fields["rating"]
    for number, record in records_of(file):
        try:
            user, item, time = record[user_key], record[item_key], record[time_key]
        except KeyError as error:
            key = error.args[0]
            ours = next(name for name, theirs in fields.items() if theirs == key)
            raise UserError(
                f"{file} line {number}: no field {key!r} (it has "
                f"{', '.join(islice(record, 12))}); name the right one by --columns={ours}=NAME"
            ) from error
        # codes instead of strings: a million reviews need only some tens of megabytes
        user_codes.append(users.setdefault(str(user), len(users)))
        item_codes.append(items.setdefault(str(item), len(items)))
        times.append(time)
        ratings.append(record.get(rating_key))
        numbers.append(number)
    frame = pd.DataFrame(
        {
            "user_id": pd.Categorical.from_codes(np.array(user_codes, int), list(users)),
            "item_id": pd.Categorical.from_codes(np.array(item_codes, int), list(items)),
            "timestamp": np.array(times, object),  # distinguishes null from NaN
            "file": number_of_file,
        },
        index=np.array(numbers, int),
    )
    if any(rating is not None for rating in ratings):
        frame["rating"] = finite(pd.Series(ratings, frame.index, object), file, "rating")
    return frame


def finite(values: pd.Series, file: Path, column: str) -> pd.Series:
    """Convert JSON values to float64; null and "" become NaN, anything else is an error."""
    try:
        result = pd.to_numeric(values, errors="coerce").astype("float64")
    except (TypeError, OverflowError):  # lists, or whole numbers with hundreds of digits
        result = pd.Series([_float(value) for value in values], values.index)
    bad = ~np.isfinite(result.to_numpy())
    # null and "" are empty, which later steps check; NaN, infinity and words are errors
    if bad.any():
        bad &= np.array([value not in (None, "") for value in values])
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{file} line {values.index[row]}: {column} {values.iloc[row]!r} is not a number"
        )
    return result


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
