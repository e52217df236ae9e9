"""Writes RecBole's atomic files, all together and atomically."""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

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

    def write(data: bytes | pa.Buffer) -> None:
        digest.update(data)
        file.write(data)

    write(("\t".join(f"{name}:{types[name]}" for name in frame) + "\n").encode("utf-8"))
    for start in range(0, len(frame), CHUNK):
        columns = [_strings(frame[name].iloc[start : start + CHUNK]) for name in frame]
        columns[-1] = pc.binary_join_element_wise(columns[-1], _text("\n"), _text(""))
        rows = pc.binary_join_element_wise(*columns, _text("\t"))
        n_bytes = pc.sum(pc.binary_length(rows)).as_py()
        write(rows.buffers()[2].slice(0, n_bytes))  # the lines, one after another
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


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _strings(column: pd.Series) -> pa.Array:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _of_distinct(column.cat.codes.to_numpy(), column.cat.categories.astype(str).tolist())
    if pd.api.types.is_float_dtype(column):
        codes, distinct = pd.factorize(column.to_numpy(np.float64))  # NaN is -1, the last text
        return _of_distinct(codes, [*(f"{value:.15g}" for value in distinct.tolist()), ""])
    if pd.api.types.is_integer_dtype(column):
        return pc.cast(pa.array(column.to_numpy()), pa.large_string())
    return pa.array([clean_text(text) for text in column.tolist()], pa.large_string())


def _of_distinct(codes: np.ndarray, texts: list[str]) -> pa.Array:
    used, places = np.unique(codes, return_inverse=True)
    return pa.array([texts[code] for code in used], pa.large_string()).take(pa.array(places))
