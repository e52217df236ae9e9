"""Seeded noise in histories, for robustness tests."""

import numpy as np

from recbole_intent.config.keys import NOISE_KINDS
from recbole_intent.utils.errors import UserError

KINDS = NOISE_KINDS

# Independent uses of the same seed.
_WHERE, _WHICH_ITEM, _ORDER = 0, 1, 2
_MASK_64 = 2**64 - 1


def perturb(
    items: np.ndarray,
    offsets: np.ndarray,
    n_items: int,
    *,
    ratio: float,
    kind: str,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Perturb a share of each sequence so that every history is still a prefix of its sequence.

    In each sequence, `ratio` * length positions, rounded (halves up), are chosen at random without
    replacement:

    - replace: each gets a random other item;
    - insert: a random item is inserted after each;
    - delete: they are dropped, except the first item of a sequence;
    - shuffle: their items are permuted among themselves.

    The result for sequence u depends only on `seed`, u and its length, not on other sequences.

    Targets come from the clean `items`; the history of the target at flat index i of sequence u is
    `noisy[position_map[offsets[u]] : position_map[i]]`. Shuffling can move later items of the
    sequence forward: end each sequence before the item to predict, or its history may contain it.

    Args:
        items: (N,) int64, sequence after sequence, in 1 .. n_items - 1.
        offsets: (U + 1,) sequence u is `items[offsets[u] : offsets[u + 1]]`.
        n_items: number of items including padding (0), >= 2; for `replace`, >= 3.
        ratio: 0 .. 1; 0 changes nothing.
        kind: replace, insert, delete or shuffle.
        seed: any int.

    Returns:
        noisy: (N',) int64, the perturbed sequences.
        position_map: (N + 1,) int64, number of noisy items before original item i, over all
            sequences.

    Raises:
        UserError: `ratio` or `kind` is not one of the above.
        ValueError: arrays that do not match each other or `n_items`.

    Source: simulates Table 3 of IGR-SR (20 % noise; the paper does not specify its kind).
    """
    if kind not in KINDS:
        raise UserError(f"noise: kind {kind!r} is unknown; known are {', '.join(KINDS)}")
    if not 0 <= ratio <= 1:
        raise UserError(f"noise: ratio must be in 0 .. 1, not {ratio}")
    items, offsets = np.asarray(items, dtype=np.int64), np.asarray(offsets, dtype=np.int64)
    _check_arrays(items, offsets, n_items, least_items=3 if kind == "replace" else 2)

    lengths = np.diff(offsets)
    sequence = np.repeat(np.arange(len(lengths)), lengths)  # (N,)
    position = np.arange(len(items)) - offsets[:-1][sequence]  # (N,)
    n_chosen = np.floor(ratio * lengths + 0.5).astype(np.int64)  # (U,)
    key = _random_bits(seed, _WHERE, sequence, position)
    if kind == "delete":
        # With the largest key the first item is chosen last, so never: no history is empty.
        n_chosen = np.minimum(n_chosen, np.maximum(lengths - 1, 0))
        key[position == 0] = np.iinfo(np.uint64).max
    # Sorted by sequence, then key: the k-th entry of a sequence is its k-th choice.
    by_key = np.lexsort((key, sequence))
    chosen = np.empty(len(items), dtype=bool)
    chosen[by_key] = position < n_chosen[sequence]

    copies = np.ones(len(items), dtype=np.int64)
    if kind == "insert":
        copies += chosen
    elif kind == "delete":
        copies -= chosen
    position_map = np.concatenate(([0], np.cumsum(copies)))
    noisy = np.repeat(items, copies)

    where = np.flatnonzero(chosen)
    if kind == "insert":
        bits = _random_bits(seed, _WHICH_ITEM, sequence[where], position[where])
        noisy[position_map[where] + 1] = _random_item(bits, n_items)
    elif kind == "replace":
        bits = _random_bits(seed, _WHICH_ITEM, sequence[where], position[where])
        noisy[where] = _random_item(bits, n_items, other_than=items[where])
    elif kind == "shuffle":
        order_key = _random_bits(seed, _ORDER, sequence[where], position[where])
        noisy[where] = items[where[np.lexsort((order_key, sequence[where]))]]
    return noisy, position_map


def _check_arrays(items: np.ndarray, offsets: np.ndarray, n_items: int, least_items: int) -> None:
    """Raise ValueError unless the arrays describe sequences of items 1 .. n_items - 1."""
    if items.ndim != 1 or offsets.ndim != 1 or len(offsets) == 0:
        raise ValueError(f"items (N,) and offsets (U + 1,): {items.shape}, {offsets.shape}")
    if offsets[0] != 0 or offsets[-1] != len(items) or (np.diff(offsets) < 0).any():
        raise ValueError(f"offsets must rise from 0 to the {len(items)} items")
    if n_items < least_items:
        raise ValueError(f"n_items must be at least {least_items} with padding, not {n_items}")
    if len(items) and not 1 <= items.min() <= items.max() < n_items:
        raise ValueError(f"items must be 1 .. {n_items - 1} (0 is padding)")


def _random_item(
    bits: np.ndarray, n_items: int, other_than: np.ndarray | None = None
) -> np.ndarray:
    """Convert (P,) random bits to items 1 .. n_items - 1, each different from `other_than`."""
    if other_than is None:
        return 1 + (bits % np.uint64(n_items - 1)).astype(np.int64)
    item = 1 + (bits % np.uint64(n_items - 2)).astype(np.int64)
    return item + (item >= other_than)  # drawn from one fewer: skip the excluded item


def _random_bits(seed: int, use: int, sequence: np.ndarray, position: np.ndarray) -> np.ndarray:
    """64 random bits for each position that depend only on the arguments, (P,) uint64.

    A generator's stream would shift for all later sequences when one sequence changes its length.
    """
    bits = _mix(np.full(len(sequence), int(seed) & _MASK_64, dtype=np.uint64))
    for part in (np.uint64(use), sequence.astype(np.uint64), position.astype(np.uint64)):
        bits = _mix(bits + part)
    return bits


def _mix(bits: np.ndarray) -> np.ndarray:
    """Spread every bit of each uint64 over all of it; distinct inputs stay distinct.

    Source: SplitMix64 (Steele, Lea, Flood 2014), whose constants these are.
    """
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
