"""Pairs of training samples with the same target item."""

import numpy as np


class SameTarget:
    """Draws, for samples, others with the same target.

    Args:
        targets: (N,) target items of all samples, >= 0.

    Source: ICSRec, "the same target item means the same coarse intent".
    """

    def __init__(self, targets: np.ndarray) -> None:
        self._targets = targets
        self._order = np.argsort(targets, kind="stable")
        self._place = np.argsort(self._order)
        self._count = np.bincount(targets)
        self._first = np.cumsum(self._count) - self._count

    def draw(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random other sample (B,) for each of `samples` (B,); itself if it is the only one."""
        target = self._targets[samples]
        first, count = self._first[target], self._count[target]
        step = rng.integers(1, np.maximum(count, 2))  # 1 .. count - 1
        return self._order[first + (self._place[samples] - first + step) % count]
