"""Files of people's histories and of user ids, read line by line."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.errors import UserError


@dataclass(frozen=True)
class History:
    """What one person has chosen so far.

    Attributes:
        items: raw item ids, the oldest first.
        user: a name to find the person by; None where there is none.
    """

    items: list[str]
    user: str | None = None


def read_histories(path: str | Path) -> Iterator[History]:
    """Read a file of histories, one a line, without keeping them.

    A `.csv` file has item ids in each row and no header. Every other file has JSON in each line:
    `["i1", "i2"]` or `{"user": "u", "items": ["i1", "i2"]}`. Whole numbers are taken as ids.
    Blank lines are passed over; `[]`, or `""` in a CSV file, is an empty history.

    Raises:
        UserError: at the line that is none of these, or not UTF-8.
    """
    if Path(path).suffix.lower() == ".csv":
        reader = csv.reader(_lines(path), strict=True)
        try:
            for row in reader:
                if row:
                    yield History([cell.strip() for cell in row if cell.strip()])
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: not CSV: {error}") from error
        return
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield _from_json(line, f"{path}:{number}")


def read_users(path: str | Path) -> Iterator[str]:
    """Read a file with a user id in each line; blank lines are passed over.

    Raises:
        UserError: it cannot be read.
    """
    for line in _lines(path):
        if user := line.strip():
            yield user


def _lines(path: str | Path) -> Iterator[str]:
    # Decoded one by one, so that a mistake has a line number.
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise UserError(
                        f"{path}:{number}: not UTF-8 (byte {error.start} of the line)"
                    ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _from_json(line: str, where: str) -> History:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where}: not JSON: {error.msg} (column {error.colno}); a line is "
            '["i1", "i2"] or {"user": "u", "items": ["i1", "i2"]}'
        ) from error
    user = None
    if isinstance(value, dict):
        for key in value:
            if key not in ("user", "items"):
                raise UserError(f"{where}: {key!r}: unknown key; known are user and items")
        if "items" not in value:
            raise UserError(f"{where}: lacks `items`, a list of item ids")
        if value.get("user") is not None:
            user = _id(value["user"], where, "user")
        value = value["items"]
    if not isinstance(value, list):
        raise UserError(f"{where}: expected a list of item ids, found {type(value).__name__}")
    return History([_id(item, where, "item") for item in value], user)


def _id(value: Any, where: str, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UserError(f"{where}: {name} {value!r} is no id; ids are strings or whole numbers")
