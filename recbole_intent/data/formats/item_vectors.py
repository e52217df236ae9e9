"""Reads externally computed item vectors, such as embeddings of their texts."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recbole_intent.config.keys import SHARED
from recbole_intent.data.formats.text_vectors import vector_path
from recbole_intent.utils.errors import UserError

_LOGGER = logging.getLogger("recbole_intent")


def item_vectors_file(config: Any) -> Path | None:
    """The file named by `item_vectors`; None without `llm_embedding`.

    `auto` is the file of the items' text vectors next to the atomic files.
    """
    if not config["llm_embedding"]:
        return None
    if config["item_vectors"] == "auto":
        return vector_path(config["data_path"], config["dataset"], "item", "metadata", "fused")
    return Path(config["item_vectors"])


def start_file(config: Any) -> Path | None:
    """The file whose vectors the item table starts from; None without.

    Models with a row of their own for `item_vectors` read it in their own way, except VELI4SBR
    without `llm_embedding`.
    """
    is_own = config.key_table.rows["item_vectors"] is not SHARED["item_vectors"]
    path = config["item_vectors"]
    if path is None or (is_own and (path == "auto" or config["llm_embedding"] is not False)):
        return None
    return Path(path)


def read_item_vectors(path: str | Path, item_ids: np.ndarray) -> np.ndarray:
    """Vectors in the order of a dataset's items.

    Args:
        path, item_ids: as `matched_vectors`.

    Returns:
        (V, D) float32; zeros for padding and for items without a vector, which a warning counts.

    Raises:
        UserError: as `matched_vectors`.
    """
    places, vectors = matched_vectors(path, item_ids)
    if len(places) < len(item_ids) - 1:
        missing = len(item_ids) - 1 - len(places)
        _LOGGER.warning("%s: %d of %d items have no vector", path, missing, len(item_ids) - 1)
    ordered = np.zeros((len(item_ids), vectors.shape[1]), dtype=np.float32)
    ordered[places] = vectors
    return ordered


def matched_vectors(path: str | Path, item_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of those of a dataset's items that a file has.

    Args:
        path: an `.npz` with `item` (N,) ids and `vector` (N, D) numbers, or with `ids` and
            `vectors` as written by `enrich`; an `.npy` (N, D) with the ids, a line each, in
            `<name>.ids.txt` next to it; a `.parquet` with a column `item_id`, `item` or `id` and
            one of lists, or D of numbers; or an atomic file with the columns `item_id:token` and
            `vector:float_seq` (numbers separated by spaces).
        item_ids: (V,) raw ids; the first one is padding.

    Returns:
        (n,) places in `item_ids`, and (n, D) float32 vectors, n >= 1.

    Raises:
        UserError: the file is missing or has another form, lists an item twice, has a number that
            is not finite, or has none of the dataset's items.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file of item vectors; `recbole_intent enrich --for=VELI4SBR "
            "--encoder=embedded …` makes them of the items' texts"
        )
    read = {".npz": _read_npz, ".npy": _read_npy, ".parquet": _read_parquet}
    ids, vectors = read.get(path.suffix, _read_table)(path)
    if vectors.ndim != 2 or ids.shape != (len(vectors),) or vectors.size == 0:
        raise UserError(
            f"{path}: needs N items and N x D numbers, has {ids.shape}, {vectors.shape}"
        )
    if not np.isfinite(vectors).all():
        bad = str(ids[~np.isfinite(vectors).all(axis=1)][0])
        raise UserError(f"{path}: the vector of item {bad!r} is not finite")
    row_of = {name: row for row, name in enumerate(ids.tolist())}
    if len(row_of) < len(ids):
        raise UserError(f"{path}: an item stands twice")
    matches = [(place, row_of[name]) for place, name in enumerate(item_ids) if name in row_of]
    if not matches:
        raise UserError(f"{path}: has no vector of any item of this dataset")
    places, rows = (np.array(column) for column in zip(*matches, strict=True))
    return places, vectors[rows]


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = ("ids", "vectors") if "ids" in file else ("item", "vector")
            ids, vectors = (file[name] for name in names)
            return ids.astype(str), vectors.astype(np.float32)
    except Exception as error:  # zipfile, zlib and numpy raise many kinds for damaged bytes
        raise UserError(
            f"{path}: not an .npz with `item` (N,) and `vector` (N, D): {error}"
        ) from error


def _read_npy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    names = path.with_suffix(".ids.txt")
    if not names.is_file():
        raise UserError(
            f"{names}: no such file: the ids of the rows of {path.name}, a line each; or give an "
            ".npz with `item` and `vector`"
        )
    try:
        vectors = np.load(path, allow_pickle=False).astype(np.float32)
        return np.array(names.read_text("utf-8").splitlines(), dtype=str), vectors
    except (ValueError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not an .npy of N x D numbers with ids: {reason}") from error


def _read_parquet(path: Path) -> tuple[np.ndarray, np.ndarray]:
    wanted = "a column item_id, item or id, and one of lists or several of numbers"
    try:
        table = pd.read_parquet(path)
        (of_ids,) = (name for name in table if name in ("item_id", "item", "id"))
        others = table.drop(columns=of_ids)
        first = others.iloc[:, 0]
        is_list = others.shape[1] == 1 and first.dtype == object
        vectors = np.stack(first.tolist()) if is_list else others.to_numpy()
        return table[of_ids].to_numpy().astype(str), vectors.astype(np.float32)
    except (ValueError, TypeError, IndexError, OSError) as error:  # includes pyarrow's errors
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a table with {wanted}: {reason}") from error


def _read_table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    columns = ["item_id:token", "vector:float_seq"]
    try:
        table = pd.read_csv(path, sep="\t", usecols=columns, dtype=str, keep_default_na=False)
        rows = [np.array(text.split(" "), dtype=np.float32) for text in table[columns[1]]]
        return table[columns[0]].to_numpy(dtype=str), np.stack(rows)
    except ValueError as error:  # includes pandas' errors when reading
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a table of {' and '.join(columns)}: {reason}") from error
