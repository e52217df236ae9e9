"""Seeded samples: which sessions or items to ask about, candidates, a user's items in a text."""

from collections.abc import Sized

import numpy as np

from recbole_intent.files import fingerprint


def choose(sessions: Sized, sample: float, limit: int | None, seed: int) -> np.ndarray:
    """Which sessions, or other things, to ask about, in their order.

    Args:
        sessions: all that there are.
        sample: share in (0, 1]; a smaller sample of the same seed is a part of a larger one.
        limit: the first so many of the sample.
        seed: of the sample.

    Returns:
        (C,) indices, rising.
    """
    count = max(1, round(sample * len(sessions)))
    drawn = np.random.default_rng(seed).permutation(len(sessions))[:count]
    return np.sort(drawn)[:limit]


def draw_candidates(
    session: str, items: np.ndarray, n_items: int, negatives: int, seed: int
) -> np.ndarray:
    """The held-out last item among random items that are not in the session, shuffled.

    They depend on the seed and the session's id alone: not on which other sessions are asked.

    Args:
        session: its id.
        items: (n,) its item codes.
        n_items: size of the catalogue, at least the session's distinct items + `negatives`.
        negatives: M, random items.
        seed: of the run.

    Returns:
        (M + 1,) item codes.
    """
    rng = seeded(seed, session)
    inside, others = set(items.tolist()), []
    while len(others) < negatives:
        code = int(rng.integers(n_items))
        if code not in inside:
            inside.add(code)
            others.append(code)
    return rng.permutation([int(items[-1]), *others])


def seeded(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one session or user, whoever else is asked about."""
    return np.random.default_rng(int(fingerprint([seed, name])[:16], 16))


def sample_places(user: str, length: int, most: int, seed: int) -> np.ndarray:
    """Which of a user's training items a text tells of: a seeded sample, in the order of time.

    It depends on the seed, the user's id and the number of items alone.

    Args:
        user: raw id.
        length: of the history.
        most: items in the sample, at most.
        seed: of the run.

    Returns:
        (min(length, most),) places, rising.
    """
    if length <= most:
        return np.arange(length)
    return np.sort(seeded(seed, user).choice(length, most, replace=False))
