"""Which training sessions keep their intents, and whose they get: controls of VELI4SBR."""

from collections.abc import Sequence

import numpy as np

Intents = Sequence[tuple[int, ...]]


def keep_share(intents: Intents, share: float, seed: int) -> list[tuple[int, ...]]:
    """The intents of a random share of the sessions that have some.

    Args:
        intents: S lists of intents; an empty one has none.
        share: in [0, 1]; a smaller share of the same seed is a part of a larger one.
        seed: of the draw.

    Returns:
        S lists; those of the other sessions are empty.

    Source: VELI4SBR, Figure 3.
    """
    having = _with_intents(intents)
    drawn = np.random.default_rng(seed).permutation(having)[: round(share * len(having))]
    kept = set(drawn.tolist())
    return [given if session in kept else () for session, given in enumerate(intents)]


def shuffled(intents: Intents, seed: int) -> list[tuple[int, ...]]:
    """Each session that has intents gets all those of another one.

    Such intents are as many and as frequent as before, and tell nothing of their session: what
    they improve is not improved by what they mean.

    Args:
        intents: S lists of intents; an empty one has none, and stays empty.
        seed: of the draw.
    """
    # One random ring through all of them: nobody is its own neighbour (but a session alone).
    ring = np.random.default_rng(seed).permutation(_with_intents(intents)).tolist()
    given = list(intents)
    for session, other in zip(ring, ring[1:] + ring[:1], strict=True):
        given[session] = intents[other]
    return given


def _with_intents(intents: Intents) -> list[int]:
    return [session for session, given in enumerate(intents) if given]
