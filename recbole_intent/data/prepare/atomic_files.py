"""Writes RecBole's atomic files, all together and atomically."""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write

BREAKS = re.compile(r"[\x00\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
CHUNK = 100_000


def clean_text(text: str) -> str:
    """Make a text fit one field: breaks become spaces, and leading double quotes are replaced.

    RecBole reads atomic files with CSV quoting, where a field that begins with a double quote
    extends to the next one, across tabs and lines. Such a text gets single quotes instead.
    """
    text = BREAKS.sub(" ", text).strip()
    return text.replace('"', "'") if text.startswith('"') else text


def write_table(frame: pd.DataFrame, types: Mapping[str, str], file: BinaryIO) -> str:
    """Write a frame as an atomic file.

    Args:
        frame: columns in order; numbers may be NaN, which becomes an empty field.
        types: column → token, token_seq, float or float_seq.
        file: opened for bytes.

    Returns:
        sha256 of the written bytes, as hex digits.
    """
    digest = hashlib.sha256()

    def write(text: str) -> None:
        data = text.encode("utf-8")
        digest.update(data)
        file.write(data)

    write("\t".join(f"{name}:{types[name]}" for name in frame) + "\n")
    columns = [_strings(frame[name]) for name in frame]
    for start in range(0, len(frame), CHUNK):
        rows = zip(*(column[start : start + CHUNK] for column in columns), strict=True)
        write("".join("\t".join(row) + "\n" for row in rows))
    return digest.hexdigest()


def write_all(
    folder: Path, writers: Mapping[str, Callable[[BinaryIO], None]], stale: Collection[str] = ()
) -> None:
    """Write several files of a folder: under temporary names, synced, then renamed together.

    Args:
        folder: created if missing.
        writers: file name → function that writes its content. The first file is the seal, with
            the hashes of the others: it is written last and renamed first. So at any moment, the
            seal and the files next to it are all old, all new, or do not match.
        stale: names of older files to delete, just before the seal is renamed, because the old
            seal names them.

    Raises:
        UserError: the disk is full or the folder is not writable; no new files are left behind.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    seal, *others = writers
    try:
        with ExitStack() as renames:  # the last one entered is renamed first
            temporary = {
                name: renames.enter_context(atomic_write(folder / name)) for name in [*others, seal]
            }
            for name in [*others, seal]:
                _write_synced(temporary[name], folder / name, writers[name])
            for name in stale:
                (folder / name).unlink(missing_ok=True)
    except UserError as error:
        raise UserError(
            f"{error}; nothing half-written is left: fix it, or choose another --output"
        ) from error
    finally:
        for path in made:
            with suppress(OSError):  # not empty: the files were written, which is the normal case
                path.rmdir()


def _write_synced(temporary: Path, target: Path, write: Callable[[BinaryIO], None]) -> None:
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            # a full disk may be reported only here; the old files still exist
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error


def _strings(column: pd.Series) -> list[str]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = list(column.cat.categories)
        return [names[code] for code in column.cat.codes.tolist()]
    if pd.api.types.is_float_dtype(column):
        return ["" if value != value else f"{value:.15g}" for value in column.tolist()]
    if pd.api.types.is_integer_dtype(column):
        return list(map(str, column.tolist()))
    return [clean_text(text) for text in column.tolist()]
