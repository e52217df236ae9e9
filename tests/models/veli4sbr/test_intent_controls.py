"""Controls of intents: what is kept is part of more, and shuffled intents are the same ones."""

from collections import Counter

import numpy as np
import pytest

from recbole_intent.models.veli4sbr.intent_controls import keep_share, shuffled


@pytest.fixture
def intents() -> list[tuple[int, ...]]:
    """Of 200 sessions, a quarter of them without any; all the others' different."""
    rng = np.random.default_rng(3)
    return [() if rng.random() < 0.25 else (session, session + 1) for session in range(200)]


def test_a_share_is_part_of_a_larger_one(intents):
    having = sum(map(bool, intents))
    kept: list[set[int]] = []
    for share in (0, 0.25, 0.5, 1):
        found = keep_share(intents, share, seed=2020)
        kept.append({session for session, given in enumerate(found) if given})
        assert len(kept[-1]) == round(share * having)
        assert all(found[session] == intents[session] for session in kept[-1])
    assert kept[0] < kept[1] < kept[2] < kept[3]
    assert keep_share(intents, 1, seed=2020) == intents
    assert keep_share(intents, 0.5, seed=2021) != keep_share(intents, 0.5, seed=2020)


def test_shuffled_intents_are_the_same_of_other_sessions(intents):
    found = shuffled(intents, seed=2020)
    assert Counter(found) == Counter(intents)
    assert [bool(given) for given in found] == [bool(given) for given in intents]
    # All differ here, so equal intents would be a session's own.
    assert not any(new and new == old for new, old in zip(found, intents, strict=True))
    assert shuffled(intents, seed=2020) == found
    assert shuffled(intents, seed=2021) != found


def test_few_sessions_with_intents():
    assert shuffled([(), (1,), (2, 3)], seed=0) == [(), (2, 3), (1,)]
    assert shuffled([(), (1,)], seed=0) == [(), (1,)]
    assert shuffled([(), ()], seed=0) == keep_share([(), ()], 0.5, seed=0) == [(), ()]
