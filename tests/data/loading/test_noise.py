"""Noise: how much, where, reproducible, and histories that stay prefixes."""

from collections import Counter

import numpy as np
import pytest

from recbole_intent.data.loading.noise import KINDS, perturb
from recbole_intent.utils.errors import UserError

N_ITEMS = 500


def make_sequences(n_users=40, seed=0, least=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(least, 25, n_users)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return rng.integers(1, N_ITEMS, offsets[-1]), offsets


def by_user(noisy, position_map, offsets):
    return np.split(noisy, position_map[offsets[1:-1]])


def rounded(value):
    return int(value + 0.5)


def is_subsequence(short, long):
    rest = iter(long.tolist())
    return all(item in rest for item in short.tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_ratio_zero_is_the_identity(kind):
    items, offsets = make_sequences()
    noisy, position_map = perturb(items, offsets, N_ITEMS, ratio=0, kind=kind, seed=1)
    np.testing.assert_array_equal(noisy, items)
    np.testing.assert_array_equal(position_map, np.arange(len(items) + 1))


@pytest.mark.parametrize("ratio", [0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_each_user_gets_the_ratio_of_noise(kind, ratio):
    items, offsets = make_sequences()
    clean = items.copy()
    noisy, position_map = perturb(items, offsets, N_ITEMS, ratio=ratio, kind=kind, seed=1)

    np.testing.assert_array_equal(items, clean)
    assert position_map[0] == 0
    assert position_map[-1] == len(noisy)
    assert (np.diff(position_map) >= 0).all()
    assert 1 <= noisy.min() <= noisy.max() < N_ITEMS
    for user, after in enumerate(by_user(noisy, position_map, offsets)):
        before = items[offsets[user] : offsets[user + 1]]
        n_chosen = rounded(ratio * len(before))
        if kind == "replace":
            assert len(after) == len(before)
            assert (after != before).sum() == n_chosen
        elif kind == "insert":
            assert len(after) == len(before) + n_chosen
            assert is_subsequence(before, after)
        elif kind == "delete":
            assert len(after) == len(before) - min(n_chosen, max(0, len(before) - 1))
            assert is_subsequence(after, before)
            assert after[:1].tolist() == before[:1].tolist()
        else:
            assert Counter(after.tolist()) == Counter(before.tolist())
            assert (after != before).sum() <= n_chosen


def test_position_map_leads_to_what_stands_before_each_target():
    items = np.arange(1, 101)  # all different, so that each can be found again
    offsets = np.array([0, 30, 30, 100])
    for kind in ("insert", "delete"):
        noisy, position_map = perturb(items, offsets, 10**6, ratio=0.3, kind=kind, seed=5)
        for user in range(3):
            start = position_map[offsets[user]]
            for i in range(offsets[user], offsets[user + 1]):
                history = noisy[start : position_map[i]]
                originals = history[history <= 100]
                assert set(originals) <= set(items[offsets[user] : i])
                if kind == "insert":
                    assert originals.tolist() == items[offsets[user] : i].tolist()
                elif i > offsets[user]:
                    assert history[0] == items[offsets[user]]


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_noise_and_other_seed_other_noise(kind):
    items, offsets = make_sequences()
    arguments = {"ratio": 0.3, "kind": kind}
    noisy, position_map = perturb(items, offsets, N_ITEMS, seed=7, **arguments)
    again, map_again = perturb(items, offsets, N_ITEMS, seed=7, **arguments)
    other, _ = perturb(items, offsets, N_ITEMS, seed=8, **arguments)
    np.testing.assert_array_equal(noisy, again)
    np.testing.assert_array_equal(position_map, map_again)
    assert not np.array_equal(noisy, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_users_noise_does_not_depend_on_the_other_users(kind):
    items, offsets = make_sequences(least=2)
    longer = np.insert(items, offsets[1], [3, 4, 5])  # user 0 gets three more items
    longer_offsets = offsets + 3 * (np.arange(len(offsets)) > 0)
    arguments = {"ratio": 0.3, "kind": kind, "seed": 7}
    users = by_user(*perturb(items, offsets, N_ITEMS, **arguments), offsets)
    of_longer = by_user(*perturb(longer, longer_offsets, N_ITEMS, **arguments), longer_offsets)
    for before, after in zip(users[1:], of_longer[1:], strict=True):
        np.testing.assert_array_equal(before, after)


def test_positions_and_items_are_drawn_evenly():
    n_users, length = 20_000, 10
    offsets = np.arange(0, n_users * length + 1, length)
    items = np.full(n_users * length, 3)
    noisy, _ = perturb(items, offsets, 6, ratio=0.2, kind="replace", seed=0)
    changed = (noisy != 3).reshape(n_users, length)
    np.testing.assert_allclose(changed.mean(axis=0), 0.2, atol=0.015)
    counts = np.bincount(noisy[noisy != 3], minlength=6)
    np.testing.assert_allclose(counts[[1, 2, 4, 5]] / counts.sum(), 0.25, atol=0.015)
    assert counts[0] == 0


def test_shuffle_moves_items():
    items, offsets = np.arange(1, 101), np.array([0, 100])
    noisy, _ = perturb(items, offsets, 101, ratio=1, kind="shuffle", seed=0)
    assert (noisy != items).mean() > 0.9


def test_no_sequences_and_empty_sequences_are_fine():
    for offsets in ([0], [0, 0, 0]):
        noisy, position_map = perturb([], offsets, N_ITEMS, ratio=0.5, kind="insert", seed=0)
        assert len(noisy) == 0
        assert position_map.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kind": "swap"}, UserError, "'swap' is unknown; known are replace"),
        ({"ratio": 1.2}, UserError, "ratio"),
        ({"ratio": float("nan")}, UserError, "ratio"),
        ({"offsets": [0, 2]}, ValueError, "offsets"),
        ({"offsets": [0, 4, 2, 3]}, ValueError, "offsets"),
        ({"items": [1, 0, 2]}, ValueError, "padding"),
        ({"items": [1, 5, 2]}, ValueError, "1 .. 4"),
        ({"items": [1, 1, 1], "n_items": 2}, ValueError, "at least 3"),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    arguments = {"items": [1, 2, 3], "offsets": [0, 1, 3], "n_items": 5}
    options = {"ratio": 0.2, "kind": "replace", "seed": 0}
    with pytest.raises(error, match=message):
        perturb(**(arguments | options | change))
