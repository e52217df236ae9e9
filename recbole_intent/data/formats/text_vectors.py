"""Text vectors of items or users, stored next to the atomic files, and their PCA."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.own_files import read_npz

PADDING = "[PAD]"  # RecBole's token for index 0
_REMEDY = "run `enrich --for=MODEL` on this dataset, with the model that reads them"
Kind = Literal["item", "user"]
Semantics = Literal["llm", "metadata"]
Text = Literal["fused", "positive", "negative"]


@dataclass(frozen=True)
class TextVectors:
    """The output of a text encoder for the texts of items or users.

    Attributes:
        ids: (N,) raw ids, strings, each once.
        vectors: (N, D) float32, L2-normalised.
        semantics: `llm` or `metadata`: the source of the texts.
        encoder: name of the model that encoded them.
        fingerprint: SHA-256 of the texts and the encoder, as hexadecimal digits.
        split: JSON of the `training_interactions.Split` that the texts were made from; empty in
            files that do not name it.
    """

    ids: np.ndarray
    vectors: np.ndarray
    semantics: str
    encoder: str
    fingerprint: str
    split: str = ""


def vector_path(
    data_path: str | Path, dataset: str, kind: Kind, semantics: Semantics, text: Text
) -> Path:
    """The path of a vector file: `data_path/<dataset>.<kind>_text.<semantics>.<text>.npz`.

    Args:
        data_path: folder of the dataset's atomic files.
        dataset: its name.
        kind: texts of items or of users.
        semantics: source of the texts.
        text: the text of a profile; metadata only has `fused`.
    """
    return Path(data_path) / f"{dataset}.{kind}_text.{semantics}.{text}.npz"


def write_text_vectors(path: str | Path, vectors: TextVectors) -> None:
    """Write vectors atomically as an .npz.

    Raises:
        UserError: it cannot be written.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            ids=np.asarray(vectors.ids, dtype=np.str_),
            vectors=np.asarray(vectors.vectors, dtype=np.float32),
            semantics=vectors.semantics,
            encoder=vectors.encoder,
            fingerprint=vectors.fingerprint,
            split=vectors.split,
        )


def read_text_vectors(path: str | Path) -> TextVectors:
    """Read a file written by `write_text_vectors`.

    Raises:
        UserError: the file is missing, has another form, or has a number that is not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file of text vectors; {_REMEDY}")
    about = ("semantics", "encoder", "fingerprint")
    remedy, what = "remove it, and run `enrich` again", "not a file of text vectors"
    arrays = read_npz(path, ("ids", "vectors", *about), remedy, what, optional=("split",))
    texts = {name: str(arrays[name]) for name in (*about, "split") if name in arrays}
    vectors = TextVectors(arrays["ids"], arrays["vectors"], **texts)
    shape = vectors.vectors.shape
    if len(shape) != 2 or vectors.ids.shape != shape[:1] or vectors.vectors.dtype != np.float32:
        raise UserError(f"{path}: needs N ids and (N, D) float32, has {vectors.ids.shape}, {shape}")
    if not np.isfinite(vectors.vectors).all():
        raise UserError(f"{path}: a vector is not finite; {remedy}")
    return vectors


def vectors_for(vectors: TextVectors, tokens: Sequence[str] | np.ndarray) -> np.ndarray:
    """Vectors in the order of a dataset's ids.

    Args:
        vectors: must cover at least these ids.
        tokens: raw ids, as in RecBole's `field2id_token`, with or without `[PAD]`.

    Returns:
        (len(tokens), D) float32; the row of `[PAD]` is zero.

    Raises:
        UserError: ids without a vector; the message counts them.
    """
    row_of = {name: row for row, name in enumerate(vectors.ids.tolist())}
    rows = np.array([row_of.get(str(token), -1) for token in tokens], dtype=np.int64)
    is_padding = np.array([str(token) == PADDING for token in tokens], dtype=bool)
    missing = np.flatnonzero((rows < 0) & ~is_padding)
    if len(missing):
        raise UserError(
            f"{len(missing)} of {len(tokens) - is_padding.sum()} ids have no text vector, such as "
            f"{str(tokens[missing[0]])!r}; {_REMEDY}"
        )
    ordered = np.zeros((len(tokens), vectors.vectors.shape[1]), dtype=np.float32)
    ordered[~is_padding] = vectors.vectors[rows[~is_padding]]
    return ordered


def pca(vectors: np.ndarray, size: int) -> np.ndarray:
    """The first principal components, centred: x_v of ISRF, eq. (2).

    The result is deterministic: the sign of each component makes its loading of the largest
    absolute value positive.

    Args:
        vectors: (N, D), without rows of padding.
        size: d', in [1, min(N, D)].

    Returns:
        (N, size) float32.

    Raises:
        UserError: `size` is out of range.
    """
    n, width = vectors.shape
    if not 1 <= size <= min(n, width):
        raise UserError(
            f"PCA to {size}: {n} vectors of {width} numbers have 1 to {min(n, width)} components"
        )
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    # Eigenvectors of the (D, D) scatter matrix, which is small; its eigenvalues ascend.
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :size]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, np.arange(size)])
    return (centred @ axes).astype(np.float32)
