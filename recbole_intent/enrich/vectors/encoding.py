"""Resumable encoding of many texts, with vectors saved chunk by chunk.

They are collected in a hidden file next to the final one: a line of JSON, then float32 rows. Texts
are sorted by length to reduce padding within a batch, and duplicates are encoded once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from recbole_intent.data.formats.text_vectors import (
    TextVectors,
    read_text_vectors,
    write_text_vectors,
)
from recbole_intent.data.loading.training_interactions import Split
from recbole_intent.enrich.workplace import bar
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint

_UNIT = 1e-3  # tolerance of a vector's length around 1


class Encoder(Protocol):
    """Interface of text encoders.

    Attributes:
        name: name of the model; different models have different names.
    """

    name: str

    def encode(self, texts: list[str]) -> np.ndarray:
        """Return (N, D) float32 vectors, L2-normalised."""
        ...


def encode_texts(
    texts: Mapping[str, str],
    encoder: Encoder,
    path: Path,
    *,
    semantics: str,
    chunk: int,
    split: Split,
) -> bool:
    """Write the vectors of texts, unless the file already has them.

    Repeating the call resumes after a kill. At most the current chunk is lost, and the file is
    identical byte for byte.

    Args:
        texts: id -> text.
        encoder: text encoder.
        path: path of the vector file.
        semantics: origin of the texts, recorded in the file.
        chunk: texts per save.
        split: split that the texts were made from, recorded in the file.

    Returns:
        Whether the file was written; False if it already has the vectors of these texts.

    Raises:
        UserError: a file cannot be written or the encoder cannot be loaded.
    """
    name = fingerprint([list(texts.items()), encoder.name])
    kept = _vectors_there(path)
    about = json.dumps(split.plain())
    if kept is not None and kept.fingerprint == name:
        if kept.split != about:  # the same texts from another split
            write_text_vectors(path, replace(kept, split=about))
        return False
    distinct = sorted(set(texts.values()), key=lambda text: (len(text), text))
    waiting = path.with_name(f".{path.name}.partial")
    try:
        rows = _rows(distinct, encoder, waiting, name, chunk)
        place = {text: row for row, text in enumerate(distinct)}
        vectors = rows[[place[text] for text in texts.values()]]
        text_vectors = TextVectors(
            np.array(list(texts)), vectors, semantics, encoder.name, name, about
        )
        write_text_vectors(path, text_vectors)
        waiting.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{waiting}: cannot be written: {error.strerror or error}") from error
    return True


def _vectors_there(path: Path) -> TextVectors | None:
    try:
        return read_text_vectors(path)
    except UserError:  # absent or damaged: written again
        return None


def _rows(texts: list[str], encoder: Encoder, waiting: Path, name: str, chunk: int) -> np.ndarray:
    """Return (N, D) vectors of the texts, starting with those already in the file."""
    done = _waiting_rows(waiting, name, chunk)
    if done is None:
        waiting.unlink(missing_ok=True)
    count = 0 if done is None else len(done)
    parts = [] if done is None else [done]
    with bar("vectors", "texts", len(texts)) as shown:
        shown.update(count)
        while count < len(texts):
            some = texts[count : count + chunk]
            vectors = encoder.encode(some)
            about = {"fingerprint": name, "chunk": chunk, "size": vectors.shape[1]}
            head = b"" if count else json.dumps(about).encode() + b"\n"
            _append(waiting, head + vectors.tobytes())
            parts.append(vectors)
            count += len(some)
            shown.update(len(some))
    return np.concatenate(parts)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _waiting_rows(waiting: Path, name: str, chunk: int) -> np.ndarray | None:
    """Return the (n, D) rows of complete chunks left by a killed run and truncate the rest.

    None if the file does not hold vectors of these texts with this chunk size.
    """
    if not waiting.is_file():
        return None
    with waiting.open("rb+") as file:
        head = file.readline()
        try:
            about = json.loads(head)
        except (ValueError, RecursionError):  # killed within the first line
            return None
        match about:
            case {"fingerprint": str(theirs), "chunk": int(size), "size": int(width)}:
                if (theirs, size) != (name, chunk) or width < 1:
                    return None
            case _:
                return None
        rest = file.read()
        width = 4 * about["size"]
        rows = np.frombuffer(rest[: len(rest) // width * width], np.float32)
        rows = rows.reshape(-1, about["size"])
        # After a power cut, the file may be longer than the data written.
        is_bad = ~(np.abs(np.linalg.norm(rows, axis=1) - 1) < _UNIT)
        count = int(is_bad.argmax()) if is_bad.any() else len(rows)
        count -= count % chunk
        file.truncate(len(head) + count * width)
    return rows[:count] if count else None
