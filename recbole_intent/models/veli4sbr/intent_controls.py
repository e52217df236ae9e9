"""Controls of VELI4SBR that drop or shuffle the intents of training sessions."""

from collections.abc import Sequence

import numpy as np

Intents = Sequence[tuple[int, ...]]


def keep_share(intents: Intents, share: float, seed: int) -> list[tuple[int, ...]]:
    """Keep the intents of a random share of the sessions that have some.

    Args:
        intents: S lists of intents, empty for sessions without any.
        share: in [0, 1]; for the same seed, a smaller share is a subset of a larger one.
        seed: seed of the draw.

    Returns:
        S lists; those of the other sessions are empty.

    Source: VELI4SBR, Figure 3.
    """
    having = _with_intents(intents)
    drawn = np.random.default_rng(seed).permutation(having)[: round(share * len(having))]
    kept = set(drawn.tolist())
    return [given if session in kept else () for session, given in enumerate(intents)]


def shuffled(intents: Intents, seed: int) -> list[tuple[int, ...]]:
    """Give each session that has intents all intents of another such session.

    The intents keep their number and frequency but carry no information about their session: an
    improvement that remains is not due to their meaning.

    Args:
        intents: S lists of intents; empty lists stay empty.
        seed: seed of the draw.
    """
    # One random cycle through all of them, so no session keeps its own (unless it is the only one).
    ring = np.random.default_rng(seed).permutation(_with_intents(intents)).tolist()
    given = list(intents)
    for session, other in zip(ring, ring[1:] + ring[:1], strict=True):
        given[session] = intents[other]
    return given


def _with_intents(intents: Intents) -> list[int]:
    return [session for session, given in enumerate(intents) if given]
