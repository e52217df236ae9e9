"""Users with the most similar texts by cosine of their vectors: S of ISRF, eq. (6)."""

import logging
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from recbole_intent.nn.top_k import top_k
from recbole_intent.utils.errors import UserError

_COMPARED = 256  # number of users for which approximate neighbours are compared with exact ones
_LOGGER = logging.getLogger("recbole_intent")


def like_minded(
    vectors: np.ndarray,
    k: int,
    chunk: int = 512,
    *,
    index: Literal["exact", "faiss"] = "exact",
) -> np.ndarray:
    """The k nearest other users of each user.

    Equal vectors are exactly equally near; ties are sorted by index.

    Args:
        vectors: (N, D) of users, of any length; a zero vector is not near to any user.
        k: >= 1.
        chunk: users compared with all others at once: chunk x N numbers are in memory.
        index: `exact`, or `faiss`, which is approximate above 100,000 users; its recall on a
            sample is logged.

    Returns:
        (N, K) int64, nearest first, K = min(k, N - 1); if `faiss` returns fewer, a row is padded
        with -1.

    Raises:
        UserError: k or chunk is below 1, or faiss is not installed.
    """
    if k < 1 or chunk < 1:
        raise UserError(f"like-minded users: k: {k}, chunk: {chunk}: each must be at least 1")
    k = min(k, len(vectors) - 1)
    if k < 1:
        return np.zeros((len(vectors), 0), dtype=np.int64)
    if index == "faiss":
        return _by_index(vectors, k, chunk)
    return np.concatenate(list(nearest(vectors, k, torch.arange(len(vectors)), chunk)))


def nearest(vectors: np.ndarray, k: int, asked: Tensor, chunk: int = 512) -> Iterator[np.ndarray]:
    """The nearest other users of the given users, computed exactly.

    Args:
        vectors, chunk: as in `like_minded`.
        k: in [1, N - 1].
        asked: (A,) indices of the users.

    Yields:
        (chunk, k) int64; the last one may be shorter.
    """
    users = _units(vectors)
    # A matrix product gives equal columns scores that differ in the last bit, depending on their
    # position; so each distinct vector is scored once.
    distinct, which = users.unique(dim=0, return_inverse=True)
    # Index 0 is padding for `top_k`.
    which = torch.cat([torch.zeros(1, dtype=torch.long), which])
    for some in asked.split(chunk):
        scores = (users[some] @ distinct.T)[:, which]  # (C, N + 1)
        own = torch.arange(len(some)), some + 1
        yield (top_k(scores, k, excluded=own)[1] - 1).numpy()


def _units(vectors: np.ndarray) -> Tensor:
    return normalize(torch.as_tensor(np.asarray(vectors, dtype=np.float32)), dim=1)


def _by_index(vectors: np.ndarray, k: int, chunk: int) -> np.ndarray:
    try:
        import faiss  # noqa: F401
    except ImportError as error:
        raise UserError(
            "similar_users_index: faiss is not installed (extra ann): pip install faiss-cpu, or "
            "give --similar_users_index=exact"
        ) from error
    from recbole_intent.nn.item_index import ItemIndex

    users = _units(vectors)
    index = ItemIndex(torch.cat([torch.zeros(1, users.size(1)), users]))
    parts = []
    for some in torch.arange(len(users)).split(chunk):
        own = torch.arange(len(some)), some + 1
        parts.append((index.search(users[some], k, own)[1] - 1).numpy())
    similar = np.concatenate(parts)
    asked = torch.linspace(0, len(users) - 1, min(_COMPARED, len(users))).long()
    exact = np.concatenate(list(nearest(vectors, k, asked, chunk)))
    hits = sum(
        len(np.intersect1d(ours, theirs))
        for ours, theirs in zip(similar[asked.numpy()], exact, strict=True)
    )
    _LOGGER.info("like-minded users: recall@%d of the index: %.4f", k, hits / exact.size)
    return similar
