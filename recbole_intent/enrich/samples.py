"""Seeded samples of sessions or items to ask about, of candidates and of a user's items."""

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np

from recbole_intent.utils.files import fingerprint


def choose(sessions: Sized, sample: float, limit: int | None, seed: int) -> np.ndarray:
    """Choose the sessions (or other things) to ask about, in their order.

    Args:
        sessions: all sessions.
        sample: share in (0, 1]; with the same seed, a smaller sample is a subset of a larger one.
        limit: keep only this many from the start of the sample.
        seed: seed of the sample.

    Returns:
        (C,) indices, ascending.
    """
    count = max(1, round(sample * len(sessions)))
    drawn = np.random.default_rng(seed).permutation(len(sessions))[:count]
    return np.sort(drawn)[:limit]


def some_of(values: Sequence[Any], most: int, rng: np.random.Generator) -> list[Any]:
    """Draw up to `most` of the values without repetition; they keep their order."""
    drawn = rng.permutation(len(values))[:most]
    return [values[i] for i in np.sort(drawn)]


def draw_candidates(
    session: str, items: np.ndarray, n_items: int, negatives: int, seed: int
) -> np.ndarray:
    """Shuffle the held-out last item with random items that are not in the session.

    The result depends on the seed and the session's id, not on the other sessions in the run.

    Args:
        session: id of the session.
        items: (n,) its item codes.
        n_items: size of the catalogue, at least the session's distinct items + `negatives`.
        negatives: M, number of random items.
        seed: seed of the run.

    Returns:
        (M + 1,) item codes.
    """
    rng = seeded(seed, session)
    inside = set(items.tolist())
    others: list[int] = []
    while len(others) < negatives:
        code = int(rng.integers(n_items))
        if code not in inside:
            inside.add(code)
            others.append(code)
    return rng.permutation([int(items[-1]), *others])


def seeded(seed: int, name: str) -> np.random.Generator:
    """Random generator of one session or user, independent of all others."""
    return np.random.default_rng(int(fingerprint([seed, name])[:16], 16))


def sample_places(user: str, length: int, most: int, seed: int) -> np.ndarray:
    """Sample the training items of a user that its text mentions, in chronological order.

    The sample depends only on the seed, the user's id and the number of items.

    Args:
        user: raw id.
        length: length of the history.
        most: maximum number of sampled items.
        seed: seed of the run.

    Returns:
        (min(length, most),) positions, ascending.
    """
    if length <= most:
        return np.arange(length)
    return np.sort(seeded(seed, user).choice(length, most, replace=False))
