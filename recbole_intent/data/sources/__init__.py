"""Reads raw data sets in several public forms, detected by content, into `RawData`."""

from pathlib import Path
from types import ModuleType

from recbole_intent.data.sources import (
    amazon,
    amazon_csv,
    atomic,
    sequences,
    tabular,
    yelp,
)
from recbole_intent.data.sources.raw import RawData
from recbole_intent.data.sources.reading import files_in, head, is_binary
from recbole_intent.utils.errors import UserError

__all__ = ["SOURCES", "RawData", "detect", "files_in", "read"]

# The more specific form comes first: a shared folder may hold tables and plain sequences of the
# same data, and the tables contain more.
SOURCES: tuple[ModuleType, ...] = (atomic, amazon, amazon_csv, yelp, tabular, sequences)


def detect(path: Path, columns: dict[str, str] | None = None) -> ModuleType:
    """Find the source module for the form of `path`.

    Args:
        path: a file, or a folder of files.
        columns: our column name → its name in the file, if they differ.

    Returns:
        A module with `FORM`, `COLUMNS`, `recognises(path, columns)` and `read(path, columns)`.

    Raises:
        UserError: the path is missing, an empty folder or file, or has no known form; or the form
            has no such columns to map.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give the raw data by --source=PATH")
    files = files_in(path)
    if path.is_file() and is_binary(path):
        is_zip = head(path).startswith("PK")
        kind = "a zip archive; unpack it and give the folder" if is_zip else "no text and no table"
        raise UserError(f"{path}: is {kind} (text, gzip and Parquet files are read)")
    if not files:
        raise UserError(f"{path}: the folder holds no files; put the raw files in it")
    for file in files:
        if not head(file):
            raise UserError(f"{file}: the file is empty; fetch it again or take it away")
    for source in SOURCES:
        if source.recognises(path, columns or {}):
            _check_columns(columns or {}, source, path)
            return source
    forms = "; ".join(source.FORM for source in SOURCES)
    raise UserError(f"{path}: not a known form of raw data; known are: {forms}")


def read(path: Path, columns: dict[str, str] | None = None) -> RawData:
    """Read raw data of any known form (see `detect` for arguments and errors)."""
    return detect(path, columns).read(path, columns or {})


def _check_columns(columns: dict[str, str], source: ModuleType, path: Path) -> None:
    for name in columns:
        if name not in source.COLUMNS:
            known = ", ".join(sorted(source.COLUMNS)) or "none"
            raise UserError(
                f"--columns={name}={columns[name]}: {path} ({source.FORM}) has no such column to "
                f"name; these can be named: {known}"
            )
