"""Plans the passes of a causal model's epoch, and groups them into batches.

A causal model that reads a window s_1..s_n computes, in one pass, the states of all its prefixes,
so all targets whose windows begin at the same item can share it. Without dropout this equals one
row per target. With dropout they share masks and a batch, which costs accuracy; `passes` sets into
how many random groups the targets of a window are split in each epoch: 1 is one pass for all,
`all` is one row per target.
"""

from dataclasses import dataclass

import numpy as np

# A batch is drawn from a random chunk of this many batches, sorted by length: long enough for
# batches of similar length, short enough that batches differ between epochs.
BATCHES_PER_CHUNK = 16


@dataclass(frozen=True)
class PassPlan:
    """The passes of one epoch.

    Attributes:
        start: (P,) flat index of the first item of each pass's window.
        length: (P,) number of items that the pass reads: those before its last target.
        first: (P + 1,) pass p trains the samples `samples[first[p]:first[p + 1]]`.
        samples: (N,) every sample number once, ordered by pass, then by position.
    """

    start: np.ndarray
    length: np.ndarray
    first: np.ndarray
    samples: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """(P,) number of targets of each pass."""
        return np.diff(self.first)


def strided_starts(start: np.ndarray, target: np.ndarray, user_start: np.ndarray, max_length: int):
    """Window starts that late targets can share (`windows: strided`), an approximation.

    A target with more than `max_length` preceding items normally has its own window. Here such
    windows begin at multiples of half of `max_length`, so that a target has between half of and
    all of `max_length` preceding items. Earlier targets keep their exact window.

    Args:
        start: (N,) exact window starts.
        target: (N,) flat index of each target.
        user_start: (N,) flat index of the first item of each target's user.
        max_length: `MAX_ITEM_LIST_LENGTH`.

    Returns:
        (N,) window starts.
    """
    half = max(1, max_length // 2)
    before = target - user_start
    shared = user_start + (before - half) // half * half
    return np.where(before > max_length, shared, start)


def plan_passes(
    start: np.ndarray, target: np.ndarray, passes: int | None, rng: np.random.Generator
) -> PassPlan:
    """Group samples into passes.

    Args:
        start: (N,) flat index of each sample's window.
        target: (N,) flat index of each sample's target; `target - start` is its length.
        passes: number of random groups per window, at least 1; None for one pass per sample.
        rng: draws the groups.

    Returns:
        The passes, in an arbitrary order.
    """
    if passes is None:
        samples = np.arange(len(start))
        return PassPlan(start, target - start, np.arange(len(start) + 1), samples)
    group = rng.integers(passes, size=len(start)) if passes > 1 else 0
    key = start * passes + group
    samples = np.lexsort((target, key))
    key = key[samples]
    first = np.r_[np.flatnonzero(np.r_[True, key[1:] != key[:-1]]), len(key)]
    last = samples[first[1:] - 1]
    return PassPlan(start[last], target[last] - start[last], first, samples)


def plan_batches(
    plan: PassPlan, batch_size: int, rng: np.random.Generator, *, by_length: bool = True
) -> list[np.ndarray]:
    """Batches of passes of similar length, about `batch_size` targets each, in random order.

    Args:
        plan: the passes of the epoch.
        batch_size: number of targets in a batch; a pass with more is a batch of its own.
        rng: shuffles passes and batches.
        by_length: False mixes lengths at random.

    Returns:
        Pass numbers of each batch; every pass once.
    """
    order = rng.permutation(len(plan.start))
    if by_length:
        chunk = np.cumsum(plan.targets[order]) // (batch_size * BATCHES_PER_CHUNK)
        # Sorted by length within a chunk, ascending and descending in turn, so that a batch
        # that spans two chunks has similar lengths too.
        length = plan.length[order]
        order = order[np.lexsort((np.where(chunk % 2, -length, length), chunk))]
    count = plan.targets[order]
    batch = (np.cumsum(count) - count) // batch_size
    cuts = np.flatnonzero(np.diff(batch)) + 1
    batches = np.split(order, cuts)
    return [batches[i] for i in rng.permutation(len(batches))]
