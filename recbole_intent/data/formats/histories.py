"""Reads files of histories and of user ids line by line."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from recbole_intent.data.formats.asked import Columns, History, histories_of, history_of
from recbole_intent.data.sources.columns import resolve
from recbole_intent.data.sources.parquet import read_parquet
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import opened_file, parse_json

__all__ = ["History", "read_histories", "read_users"]


def read_histories(path: str | Path, columns: Columns | None = None) -> Iterator[History]:
    """Stream a file of histories.

    A `.parquet` file, or a file whose first line names the dataset's user and item columns (or
    uses common names for them, such as userId), is a table with one row per interaction
    (`data.asked.histories_of`), which is held in memory. Any other `.csv` file has item ids in
    each row and no header. Every other file has JSON in each line: `["i1", "i2"]` or
    `{"user": "u", "items": ["i1", "i2"]}`. Whole numbers are accepted as ids. Blank lines are
    skipped; `[]`, or `""` in a CSV file, is an empty history.

    Args:
        path: the file.
        columns: the dataset's names for a table's columns.

    Raises:
        UserError: a line in another form or not in UTF-8; the message names it.
    """
    columns, suffix = columns or Columns(), Path(path).suffix.lower()
    if suffix == ".parquet":
        yield from _of_file(path, read_parquet(path), columns)
        return
    lines = _lines(path)
    first = next(lines, "")
    separator = "\t" if "\t" in first else ","
    header = _header(first, separator, columns, Path(path))
    lines = itertools.chain([first], lines)
    if {columns.user, columns.item} <= set(header):
        rows = list(_csv_rows(path, lines, separator))[1:]
        for number, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise UserError(f"{path}:{number}: {len(row)} fields, the header has {len(header)}")
        yield from _of_file(path, pd.DataFrame(rows, columns=header, dtype=object), columns)
    elif suffix == ".csv":
        for row in _csv_rows(path, lines, ","):
            yield History([cell.strip() for cell in row if cell.strip()])
    else:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _from_json(line, f"{path}:{number}")


def _header(line: str, separator: str, columns: Columns, path: Path) -> list[str]:
    """The names in a first line; usual ones, such as userId, in the words of the dataset."""
    names = [name.strip().strip('"').partition(":")[0] for name in line.split(separator)]
    ours = {"user_id": columns.user, "item_id": columns.item, "timestamp": columns.time}
    ours = {key: name for key, name in ours.items() if name not in names}
    usual = resolve(names, {}, ours, path)
    theirs = {name: ours[key] for key, name in usual.items()}
    return [theirs.get(name, name) for name in names]


def _of_file(path: str | Path, table: pd.DataFrame, columns: Columns) -> Iterator[History]:
    try:
        yield from histories_of(table, columns)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _csv_rows(path: str | Path, lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        for row in reader:
            if row:
                yield row
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not CSV: {error}") from error


def read_users(path: str | Path) -> Iterator[str]:
    """Read a file with one user id per line; blank lines are skipped.

    Raises:
        UserError: it cannot be read.
    """
    for line in _lines(path):
        if user := line.strip():
            yield user


def _lines(path: str | Path) -> Iterator[str]:
    # Decoded line by line, so that errors have a line number.
    with opened_file(path, pipes=True) as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}:{number}: not UTF-8 (byte {error.start} of the line)"
                ) from error


def _from_json(line: str, where: str) -> History:
    hint = '; a line is ["i1", "i2"] or {"user": "u", "items": ["i1", "i2"]}'
    return history_of(parse_json(line, where, hint), where)
