"""Encoding many texts so that a kill costs little: vectors are kept chunk by chunk as they come.

They wait in a hidden file beside the one to be: a line of JSON, then float32 rows. Texts go by
their length, so that those of a batch are padded little, and equal ones once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from recbole_intent.data.text_vectors import TextVectors, read_text_vectors, write_text_vectors
from recbole_intent.data.training_interactions import Split
from recbole_intent.enrich.workplace import bar
from recbole_intent.errors import UserError
from recbole_intent.files import fingerprint

_UNIT = 1e-3  # a vector's length may be so far from 1


class Encoder(Protocol):
    """What makes vectors of texts.

    Attributes:
        name: of the model: another one has another name.
    """

    name: str

    def encode(self, texts: list[str]) -> np.ndarray:
        """(N, D) float32, L2-normalised."""
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
    """Write the vectors of texts, unless they are there.

    The same call again continues one that was killed: it loses at most the chunk under way, and
    the file is the same to the byte as without a kill.

    Args:
        texts: by id.
        encoder: of the texts.
        path: of the file of vectors.
        semantics: where the texts are from, to stand in the file.
        chunk: texts between two savings.
        split: what the texts were made from, to stand in the file.

    Returns:
        Whether the file was written: False where it holds vectors of these texts already.

    Raises:
        UserError: a file cannot be written, or the encoder not be read.
    """
    name = fingerprint([list(texts.items()), encoder.name])
    kept = _vectors_there(path)
    about = json.dumps(split.plain())
    if kept is not None and kept.fingerprint == name:
        if kept.split != about:  # the same texts, of another split
            write_text_vectors(path, replace(kept, split=about))
        return False
    distinct = sorted(set(texts.values()), key=lambda text: (len(text), text))
    waiting = path.with_name(f".{path.name}.partial")
    try:
        rows = _rows(distinct, encoder, waiting, name, chunk)
        place = {text: row for row, text in enumerate(distinct)}
        vectors = rows[[place[text] for text in texts.values()]]
        found = TextVectors(np.array(list(texts)), vectors, semantics, encoder.name, name, about)
        write_text_vectors(path, found)
        waiting.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{waiting}: cannot be written: {error.strerror or error}") from error
    return True


def _vectors_there(path: Path) -> TextVectors | None:
    try:
        return read_text_vectors(path)
    except UserError:  # absent or damaged: made anew
        return None


def _rows(texts: list[str], encoder: Encoder, waiting: Path, name: str, chunk: int) -> np.ndarray:
    """(N, D) vectors of the texts, those that wait in the file first."""
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
    """(n, D) rows of whole chunks that a killed run left; what follows them is cut off.

    None where there are none of these texts in these chunks.
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
        # A power cut may leave a file longer than what was written.
        is_bad = ~(np.abs(np.linalg.norm(rows, axis=1) - 1) < _UNIT)
        count = int(is_bad.argmax()) if is_bad.any() else len(rows)
        count -= count % chunk
        file.truncate(len(head) + count * width)
    return rows[:count] if count else None
