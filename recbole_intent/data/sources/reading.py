"""Opens raw files, plain or gzip, and reports damaged ones with their line."""

import codecs
import csv
import gzip
import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa

from recbole_intent.data.formats.arrow_text import (
    NotPlainError,
    text_frame,
    text_table,
    whole_numbers,
)
from recbole_intent.data.sources.columns import MissingColumns
from recbole_intent.utils.errors import UserError

HEAD_BYTES = 1 << 18


def files_in(path: Path) -> list[Path]:
    """List the visible files of a folder by name, or the one file that `path` is.

    Unfinished downloads (`*.part` and their `*.part.etag`) are left out, and so are files that are
    neither text nor tables, such as pictures and archives.

    Raises:
        UserError: neither a file nor a folder, or not readable.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: is a pipe or a device, not a file or folder")
    try:
        return sorted(
            file
            for file in path.iterdir()
            if file.is_file()
            and not file.name.startswith(".")
            and not file.name.endswith((".part", ".part.etag"))
            and not is_binary(file)
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """Open a file for reading bytes, decompressing gzip (detected by content, not by name).

    Raises:
        UserError: the file cannot be read, or its gzip stream is truncated or damaged. Errors in
            the `with` block that come from reading this file are converted too.
    """
    try:
        with path.open("rb") as raw:
            if raw.peek(2)[:2] == b"\x1f\x8b":
                with gzip.open(raw) as unpacked:
                    yield unpacked
            else:
                yield raw
    except EOFError as error:
        raise UserError(f"{path}: the gzip file is truncated; fetch it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: the gzip file is damaged ({error}); fetch it again") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} line {_undecodable_line(path)}: not UTF-8; convert the file to UTF-8"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text without line end) of every line that is not blank."""
    with opened(path) as binary:
        # newline="\n": a lone carriage return inside a text is not a line end
        for number, line in enumerate(io.TextIOWrapper(binary, "utf-8", newline="\n"), 1):
            if text := line.rstrip("\r\n"):
                yield number, text


def head(path: Path) -> str:
    """The beginning of a file (at most 256 KiB), for detecting its form."""
    stat = path.stat()
    return _head(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=32)  # every source reads the same heads; size and time detect changes
def _head(path: Path, _size: int, _mtime: int) -> str:
    with opened(path) as binary:
        start = binary.read(HEAD_BYTES)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path}: is UTF-16; convert the file to UTF-8")
    return start.decode("utf-8", errors="replace").removeprefix("\ufeff")


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its content."""
    return head(path).startswith("PAR1")


def is_binary(path: Path) -> bool:
    """Whether a file is neither text nor Parquet."""
    return "\0" in head(path) and not is_parquet(path)


def first_line(path: Path) -> str:
    """The first line of a file without its line end."""
    return head(path).split("\n", 1)[0].rstrip("\r")


def read_table(
    path: Path, separator: str, categories: set[str], names: list[str] | None = None
) -> pd.DataFrame:
    r"""Read a table; every value stays a string, index = line number.

    Args:
        path: the file.
        separator: "\\t" or "::" (no quoting at all), or another (usual CSV quoting).
        categories: columns to store as categories, to save memory.
        names: column names if there is no header line. Such a file may be Latin-1, as those of
            MovieLens are.

    Returns:
        A frame of strings; empty fields and those missing from a short line are "". Blank lines
        are skipped.

    Raises:
        UserError: a repeated column, a line with too many fields, or a damaged file.
    """
    has_header = names is None
    names = header_of(path, separator) if names is None else names
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{path} line 1: the column {twice[0]!r} stands twice; rename one of them")
    is_plain = separator != "::" and has_header
    frame = _plain_table(path, separator, names) if is_plain else None
    if frame is not None:
        return frame.astype(dict.fromkeys(categories, "category"))
    try:
        # pandas only warns if the first line below the header has too many fields.
        with opened(path) as binary, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            if separator == "::":  # pandas can split at it too, but a hundred times slower
                binary = io.BytesIO(binary.read().replace(b"::", b"\t"))
            frame = pd.read_csv(
                binary,
                sep="\t" if separator == "::" else separator,
                header=0 if has_header else None,
                names=names,
                dtype=str,  # with "category" the parser would convert ids such as 007 to numbers
                keep_default_na=False,
                index_col=False,
                skip_blank_lines=False,
                quoting=csv.QUOTE_NONE if separator in ("\t", "::") else csv.QUOTE_MINIMAL,
                encoding="utf-8" if has_header or _is_utf8(path) else "latin-1",
                on_bad_lines="error",
            )
    except pd.errors.ParserWarning as error:
        raise UserError(
            f"{path}: lines have more fields than the {len(names)} columns of the header"
        ) from error
    except pd.errors.ParserError as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise UserError(f"{path}: {reason}; mend or remove that line") from error
    frame = frame.astype(dict.fromkeys(categories, "category"))
    first = 2 if has_header else 1
    frame.index = pd.RangeIndex(first, first + len(frame))
    blank = (frame == "").all(axis=1)
    return frame if not blank.any() else frame[~blank]


def header_of(path: Path, separator: str) -> list[str]:
    """The column names in a table's first line."""
    return [name.strip().strip('"') for name in first_line(path).split(separator)]


def numbers(values: pd.Series, path: Path, column: str) -> pd.Series:
    """Convert strings to float64; empty ones become NaN.

    Raises:
        UserError: a value is not a finite number; `values.index` holds the line numbers.
    """
    plain = plain_numbers(values)
    if plain is not None:
        return plain
    text = values.astype(str).str.strip()
    codes, distinct = pd.factorize(text)  # ratings are few
    found = pd.to_numeric(pd.Series(distinct), errors="coerce").astype("float64").to_numpy()
    result = pd.Series(found[codes], text.index, name=text.name)
    bad = ~np.isfinite(result.to_numpy()) & (text != "").to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{path} line {values.index[row]}: {column} {text.iloc[row]!r} is not a number"
        )
    return result


def plain_numbers(values: pd.Series) -> pd.Series | None:
    """Convert numbers, or whole numbers as text, to float64 at once.

    Returns:
        None for any other column: `numbers` and `times.seconds` convert it and report errors.
    """
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
        result = values.to_numpy(np.float64)
        return None if np.isinf(result).any() else pd.Series(result, values.index, name=values.name)
    if not isinstance(values.dtype, pd.StringDtype) or not len(values):
        return None
    whole = whole_numbers(values)
    if whole is None:
        return None
    return pd.Series(whole.astype(np.float64), values.index, name=values.name)


def require(names: list[str], needed: dict[str, str], path: Path) -> None:
    """Check that a file has its columns.

    Args:
        names: the file's columns.
        needed: our name → name in the file.
        path: the file.

    Raises:
        MissingColumns: naming all missing columns.
    """
    missing = {ours: theirs for ours, theirs in needed.items() if theirs not in names}
    if missing:
        raise MissingColumns(path, names, missing)


def _is_utf8(path: Path) -> bool:
    return _undecodable_line(path) == 0


def _undecodable_line(path: Path) -> int:
    with opened(path) as binary:
        for number, line in enumerate(binary, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0


class _PlainText(io.RawIOBase):
    """The rest of a text without quotes or lone carriage returns; others raise `NotPlainError`."""

    def __init__(self, binary: BinaryIO | gzip.GzipFile) -> None:
        self._binary = binary

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._binary.read(size)
        if data.endswith(b"\r"):
            data += self._binary.read(1)
        if b'"' in data or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n")):
            raise NotPlainError
        return data


def _plain_table(path: Path, separator: str, names: list[str]) -> pd.DataFrame | None:
    """`read_table` by Arrow, several times faster than pandas, for a table without irregularities.

    Returns:
        None if there are any, such as quotes, blank lines or bytes that are not UTF-8: pandas reads
        the table, or names the line.
    """
    with opened(path) as binary:
        binary.readline()
        table = text_table(pa.PythonFile(_PlainText(binary), "r"), names, separator)
    if table is None:
        return None
    frame = text_frame(table)
    return frame.set_axis(pd.RangeIndex(2, 2 + len(frame)))
