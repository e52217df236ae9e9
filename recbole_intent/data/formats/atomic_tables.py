"""Reads atomic files: tables with a header of `name:type` fields, checked line by line.

Cells are taken literally: `NA`, `null`, `007` and quotes are text. Every error names file and
line. Format: https://recbole.io/docs/user_guide/data/atomic_files.html
"""

import codecs
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recbole_intent.data.formats.arrow_text import text_frame, text_table, whole_numbers
from recbole_intent.utils.errors import UserError

KINDS = ("token", "token_seq", "float", "float_seq")
PAD = "[PAD]"  # RecBole's token for number 0, which is neither a user nor an item
_UTF8 = ("utf-8", "utf8", "utf_8")
_OTHER_BOMS = (
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
    codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
)


@dataclass(frozen=True)
class AtomicTable:
    """The rows of an atomic file, in their order.

    Attributes:
        path: path of the file.
        types: column -> token, token_seq, float or float_seq, for all columns of the file.
        frame: the requested columns, indexed by line number. A token is a string, a float is
            float64 (NaN if empty; whole `times` int64), a token_seq an array of strings, a
            float_seq an array of float64.
    """

    path: Path
    types: dict[str, str]
    frame: pd.DataFrame

    def place(self, row: int) -> str:
        """`file:line` of a 0-based row."""
        return f"{self.path}:{self.frame.index[row]}"


def read_header(path: Path, separator: str = "\t", encoding: str = "utf-8") -> dict[str, str]:
    """Column -> type of an atomic file.

    Raises:
        UserError: the file cannot be read, is empty, or its first line is not such a header.
    """
    if encoding.lower() in _UTF8:
        with _reading(path), path.open("rb") as file:
            data = file.readline(1 << 20)
        return _types(path, _clean(path, data), separator)
    return _types(path, _text(path, encoding), separator)


def read_atomic(
    path: Path,
    columns: Collection[str] | None = None,
    *,
    unload: Collection[str] = (),
    texts: Collection[str] = (),
    ids: Iterable[str] = (),
    times: Iterable[str] = (),
    separator: str = "\t",
    seq_separator: str = " ",
    encoding: str = "utf-8",
) -> AtomicTable:
    """Read an atomic file.

    Args:
        path: the file.
        columns: names of the columns to read; None: all. Missing ones are ignored.
        unload: names of the columns to leave out.
        texts: columns to return as text, regardless of their type.
        ids: columns of ids, token or token_seq, none of which may be empty or `[PAD]`.
        times: columns that must hold a finite number in every row. Whole numbers stay integers, so
            that nanoseconds sort correctly.
        separator: between cells, one ASCII character.
        seq_separator: between the parts of a sequence.
        encoding: encoding of the file; a UTF-8 byte-order mark is skipped.

    Raises:
        UserError: the file is missing or has another encoding or a bad header, a column is missing
            or has another type, a row has more or fewer cells than the header, a cell is invalid,
            or there are no rows.
    """
    ids, times = list(ids), list(times)
    data = _text(path, encoding)
    types = _types(path, data, separator)
    columns = [n for n in types if (columns is None or n in columns) and n not in unload]
    require_columns(path, types, [n for n in ids if types.get(n) != "token_seq"], times)
    floats = [name for name in columns if types[name] == "float" and name not in texts]
    frame = _plain_frame(data, types, separator, columns, floats)
    if frame is None:
        frame = _any_frame(path, data, types, separator, columns, floats)
    del data
    for name in floats:
        frame[name] = _numbers(path, frame[name], name in times)
    for name in columns:
        if types[name].endswith("_seq") and name not in texts:
            frame[name] = _sequences(path, frame[name], types[name], seq_separator)
    for name in set(ids) & set(columns):
        _check_ids(path, frame[name], types[name])
    return AtomicTable(path, types, frame)


def _any_frame(
    path: Path,
    data: bytes,
    types: dict[str, str],
    separator: str,
    columns: list[str],
    floats: list[str],
) -> pd.DataFrame:
    """The columns as pandas reads them, indexed by line number; raises as `read_atomic`."""
    data, lines = _rows(path, data, separator, len(types))
    if len(lines) == 0:
        what = "interactions" if path.suffix == ".inter" else "rows"
        raise UserError(f"{path}: no {what} below the header")
    try:
        frame = _parsed(data, list(types), separator, columns, floats, skiprows=1)
    except (ValueError, OverflowError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: not readable: {' '.join(str(error).split())}") from error
    frame = frame[columns]
    frame.index = pd.Index(lines)
    return frame


def _parsed(
    data: bytes,
    names: list[str],
    separator: str,
    columns: list[str],
    floats: list[str],
    skiprows: int = 0,
) -> pd.DataFrame:
    return pd.read_csv(
        io.BytesIO(data),
        sep=separator,
        header=None,
        skiprows=skiprows,
        names=names,
        usecols=columns,
        dtype={name: str for name in columns if name not in floats},
        keep_default_na=False,
        na_values={name: [""] for name in floats},
        quoting=3,  # no quoting: quotes are ordinary characters
        lineterminator="\n",
        skip_blank_lines=False,
        low_memory=False,  # infer a column's type from all of its rows
        encoding="utf-8",
    )


def _plain_frame(
    data: bytes, types: dict[str, str], separator: str, columns: list[str], floats: list[str]
) -> pd.DataFrame | None:
    """As `_any_frame`, by Arrow; None unless the table is regular."""
    rows = pa.py_buffer(data).slice(data.find(b"\n") + 1 or len(data))
    table = text_table(pa.BufferReader(rows), list(types), separator, columns)
    if table is None:
        return None
    frame = text_frame(table)
    frame.index = pd.RangeIndex(2, 2 + len(frame))
    for name in floats:
        whole = whole_numbers(frame[name])
        if whole is None:
            codes, texts = pd.factorize(frame[name])  # ratings are few
            lines = "".join(f"{text}\n" for text in texts).encode()
            numbers = _parsed(lines, [name], separator, [name], [name])[name]
            frame[name] = numbers.take(codes).set_axis(frame.index)
        else:
            frame[name] = whole
    return frame


def check_form(path: Path, separator: str = "\t") -> None:
    """Check encoding, header and the width of every row, as `read_atomic` does.

    Raises:
        UserError: as `read_atomic`.
    """
    data = _text(path, "utf-8")
    _rows(path, data, separator, len(_types(path, data, separator)))


def require_columns(
    path: Path,
    types: dict[str, str],
    ids: Iterable[str] = (),
    times: Iterable[str] = (),
    lists: Iterable[str] = (),
) -> None:
    """Check that a header has the columns of ids, times and lists of ids, with the right types.

    Raises:
        UserError: naming the file and the column.
    """
    for names, kind in ((ids, "token"), (times, "float"), (lists, "token_seq")):
        for name in names:
            if name not in types:
                raise UserError(f"{path}: no column {name!r}; it has {', '.join(types)}")
            if types[name] != kind:
                raise UserError(
                    f"{path}:1: the column {name} is declared {types[name]}; write {name}:{kind}"
                )


def no_ids(names: pd.Series) -> np.ndarray:
    """Mark names that cannot be the id of a user or an item, (N,) bool.

    These are the empty string, the padding token, and names with leading or trailing blanks, a tab
    or a line break.
    """
    names = names.astype("str")
    bad = (names == "") | (names == PAD) | (names != names.str.strip())
    return (bad | names.str.contains("[\t\r\n\0]", regex=True)).to_numpy(bool)


def why_no_id(name: str) -> str:
    """Explain why `no_ids` marks a name."""
    if name.strip() == "":
        return "is empty"
    if name == PAD:
        return f"is {PAD!r}, the name of padding; give it another id"
    return f"{name!r} has a blank at an end, or a tab or line break in it"


class _reading:
    """Convert operating-system errors in the `with` block to `UserError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if not self.path.exists():
            raise UserError(f"{self.path}: no such file")
        if not self.path.is_file():
            raise UserError(f"{self.path}: is not a file")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise UserError(f"{self.path}: cannot be read: {reason}") from error


def _text(path: Path, encoding: str) -> bytes:
    """The whole file as UTF-8 without a byte-order mark, with line feeds as line ends."""
    with _reading(path):
        data = path.read_bytes()
    if encoding.lower() not in _UTF8:
        try:
            data = data.decode(encoding).encode("utf-8")
        except LookupError as error:
            raise UserError(f"encoding: {encoding!r} is not known; utf-8, latin-1 …") from error
        except UnicodeError as error:
            raise UserError(f"{path}: not {encoding}: {error.args[-1]}") from error
    return _clean(path, data)


def _clean(path: Path, data: bytes) -> bytes:
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.startswith(_OTHER_BOMS):
        raise UserError(f"{path}: is UTF-16 or UTF-32; convert it to UTF-8")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise UserError(
                f"{path}:{line}: not UTF-8 (byte {error.start}); convert the file, or name what "
                "it is by --encoding"
            ) from error
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    for byte, what in ((b"\0", "a NUL byte"), (b"\r", "a carriage return inside the line")):
        place = data.find(byte)
        if place >= 0:
            line = data.count(b"\n", 0, place) + 1
            raise UserError(f"{path}:{line}: {what}; is this a text file with ordinary lines?")
    return data


def _types(path: Path, data: bytes, separator: str) -> dict[str, str]:
    check_separator(separator)
    header = data.split(b"\n", 1)[0].decode("utf-8")
    if not header:
        raise UserError(f"{path}: empty file" if not data else f"{path}:1: no header")
    types: dict[str, str] = {}
    for cell in header.split(separator):
        name, _, kind = cell.partition(":")
        if kind not in KINDS or not name:
            what = "is not of the form name:type, as item_id:token"
            raise UserError(f"{path}:1: {cell[:80]!r} {what}")
        if name in types:
            raise UserError(f"{path}:1: the column {name!r} stands twice")
        types[name] = kind
    return types


def check_separator(separator: Any) -> None:
    """Raise UserError unless `field_separator` is an ASCII character that can separate cells."""
    is_one = isinstance(separator, str) and len(separator) == 1 and separator.isascii()
    if not is_one or separator in '\n\r\0":':
        raise UserError(f"field_separator: {separator!r} is not one character such as a tab or ','")


def _rows(path: Path, data: bytes, separator: str, width: int) -> tuple[bytes, np.ndarray]:
    """The text without blank lines, and the line number of each row below the header."""
    if not data.endswith(b"\n"):
        data += b"\n"
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))  # (L,)
    places = np.flatnonzero(text == ord(separator))
    cells = np.diff(np.searchsorted(places, ends), prepend=0) + 1
    blank = np.diff(ends, prepend=-1) == 1
    wrong = (cells != width) & ~blank
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{path}:{row + 1}: {cells[row]} cells, but the header names {width} columns"
        )
    if blank.any():
        data = b"".join(line + b"\n" for line in data.split(b"\n") if line)
    return data, np.flatnonzero(~blank)[1:] + 1


def _numbers(path: Path, column: pd.Series, is_time: bool) -> pd.Series:
    """A column's numbers as parsed by pandas: int64, float64, or text if a cell is not a number."""
    name, values = column.name, column
    if column.dtype.kind not in "iuf" or column.dtype == bool:
        text = column.astype("str")
        values = pd.to_numeric(text, errors="coerce").astype(np.float64)
        wrong = ~np.isfinite(values.to_numpy()) & (text != "").to_numpy(bool) & column.notna()
    else:
        text, wrong = column, np.isinf(column.to_numpy(np.float64))
    _refuse(path, text, np.asarray(wrong, bool), f"{name} {{}} is not a number")
    if is_time:
        _refuse(path, text, values.isna().to_numpy(), f"{name} is empty")
        return values if values.dtype == np.int64 else values.astype(np.float64)
    return values.astype(np.float64)


def _sequences(path: Path, column: pd.Series, kind: str, separator: str) -> list[np.ndarray]:
    parts: Sequence[list[str]] = [
        [part for part in text.split(separator) if part] for text in column.tolist()
    ]
    if kind == "token_seq":
        return [np.array(part, dtype=str) for part in parts]
    try:
        cells = [np.array(part, dtype=np.float64) for part in parts]
    except ValueError:
        cells = [_as_numbers(part) for part in parts]
    wrong = np.array([not np.isfinite(cell).all() for cell in cells], dtype=bool)
    _refuse(path, column, wrong, f"{column.name} {{}} is not a sequence of numbers")
    return cells


def _as_numbers(parts: list[str]) -> np.ndarray:
    return pd.to_numeric(pd.Series(parts, dtype="str"), errors="coerce").to_numpy(np.float64)


def _check_ids(path: Path, column: pd.Series, kind: str) -> None:
    if kind == "token_seq":
        lengths = np.array([len(cell) for cell in column])
        _refuse(path, column, lengths == 0, f"{column.name} is empty: a row without a history")
        column = pd.Series(
            np.concatenate(column.tolist()), np.repeat(column.index, lengths), name=column.name
        )
    codes, names = pd.factorize(column)
    bad = no_ids(pd.Series(names))
    if bad.any():
        row = int(bad[codes].argmax())
        raise UserError(
            f"{path}:{column.index[row]}: {column.name} {why_no_id(str(column.iloc[row]))}"
        )


def _refuse(path: Path, column: pd.Series, wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        cell = str(column.iloc[row])
        shown = repr(cell if len(cell) <= 40 else f"{cell[:40]}…")
        raise UserError(f"{path}:{column.index[row]}: {what.replace('{}', shown)}")
