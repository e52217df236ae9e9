import numpy as np
import pytest

from recbole_intent.data.prepare.filters import k_core


def slow_k_core(pairs: list[tuple[int, int]], k: int) -> list[tuple[int, int]]:
    """The definition, one drop at a time."""
    while True:
        users = [user for user, _ in pairs]
        items = [item for _, item in pairs]
        kept = [(u, i) for u, i in pairs if users.count(u) >= k and items.count(i) >= k]
        if kept == pairs:
            return pairs
        pairs = kept


@pytest.mark.parametrize("k", [0, 2, 3, 5])
def test_k_core_equals_its_definition(k):
    rng = np.random.default_rng(k)
    users, items = rng.integers(0, 40, 150), rng.integers(0, 25, 150)
    mask = k_core(users, items, k)
    pairs = list(zip(users.tolist(), items.tolist(), strict=True))
    kept = [pair for pair, keep in zip(pairs, mask, strict=True) if keep]
    assert kept == slow_k_core(pairs, k)


def test_k_core_runs_to_the_end_of_a_chain():
    # user n shares one item with user n + 1: dropping the last one drops them all, one by one
    users = np.repeat(np.arange(50), 2)
    items = (np.arange(100) + 1) // 2
    assert not k_core(users, items, 2).any()


def test_k_core_of_nothing():
    assert len(k_core(np.array([], int), np.array([], int), 5)) == 0
