"""Training batches of the direct task, and their alternation with those of another task."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction

from recbole_intent.data.loading.candidates import draw_outside
from recbole_intent.utils.errors import UserError

CANDIDATES = "candidates"  # column of a direct batch: (B, 1 + n) items, including the target


class DirectBatches:
    """Random training items of each user, each among items outside the user's training history.

    Args:
        config: with `train_batch_size`, `n_negatives`, `direct_targets` (per user and epoch) and
            `seed`.
        dataset: the training split; no other data are used.

    Raises:
        UserError: a user has too few items outside the training history.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        pairs = dataset.inter_matrix(form="csr")
        pairs.sum_duplicates()
        self.n_negatives, self.batch_size = config["n_negatives"], config["train_batch_size"]
        self.seed, self.n_items = config["seed"], dataset.item_num
        self.user_field, self.item_field = dataset.uid_field, dataset.iid_field
        self._start = pairs.indptr.astype(np.int64)
        self._item = np.sort(pairs.indices.astype(np.int64) + self._user_keys(pairs))
        # Each user is repeated once per target.
        self.users = np.flatnonzero(np.diff(self._start)).repeat(config["direct_targets"])
        left = self.n_items - 1 - np.diff(self._start).max()
        if left < self.n_negatives:
            raise UserError(
                f"n_negatives: {self.n_negatives}: a user has only {left} items outside the "
                f"training history; give --n_negatives={left}"
            )

    def _user_keys(self, pairs: Any) -> np.ndarray:
        """u * (V - 1) - 1 of each pair; adding its item v gives u * (V - 1) + (v - 1)."""
        users = np.repeat(np.arange(pairs.shape[0], dtype=np.int64), np.diff(pairs.indptr))
        return users * (self.n_items - 1) - 1

    def __len__(self) -> int:
        return -(-len(self.users) // self.batch_size)

    def epoch(self, number: int) -> Iterator[Interaction]:
        """The batches of an epoch, determined by the run's seed and the epoch's number."""
        rng = np.random.default_rng([self.seed, number, 1])
        users = rng.permutation(self.users)
        for first in range(0, len(users), self.batch_size):
            yield self._batch(users[first : first + self.batch_size], rng)

    def held_out(self, users: np.ndarray, items: np.ndarray) -> Iterator[Interaction]:
        """Batches for held-out items (N,) of users (N,); the same in every call."""
        rng = np.random.default_rng([self.seed, 2])
        seen = np.union1d(self._item, users * (self.n_items - 1) + items - 1)
        for first in range(0, len(users), self.batch_size):
            part = slice(first, first + self.batch_size)
            yield self._among_others(users[part], items[part], seen, rng)

    def _batch(self, users: np.ndarray, rng: np.random.Generator) -> Interaction:
        count = self._start[users + 1] - self._start[users]
        chosen = self._item[self._start[users] + rng.integers(count)]
        return self._among_others(users, chosen - users * (self.n_items - 1) + 1, self._item, rng)

    def _among_others(
        self, users: np.ndarray, items: np.ndarray, seen: np.ndarray, rng: np.random.Generator
    ) -> Interaction:
        """Items (B,) with negatives outside `seen`, in random order."""
        others = draw_outside(seen, users, self.n_items - 1, self.n_negatives, rng) + 1
        candidates = rng.permuted(np.column_stack([items, others]), axis=1)
        columns = {self.user_field: users, self.item_field: items, CANDIDATES: candidates}
        return Interaction({name: torch.from_numpy(array) for name, array in columns.items()})


class Alternating:
    """Alternates the batches of several tasks, each spread evenly over the epoch.

    Args:
        parts: (number of batches, batches) of each task.
        by_batch: False: all batches of the first task, then all of the next.
    """

    def __init__(self, parts: list[tuple[int, Iterable]], by_batch: bool) -> None:
        self.parts, self.by_batch = parts, by_batch

    def __len__(self) -> int:
        return sum(count for count, _ in self.parts)

    def __iter__(self) -> Iterator[Any]:
        # The k-th of n batches is due at (k + 1/2) / n of the epoch.
        due = [
            ((k + 0.5) / count if self.by_batch else part, part)
            for part, (count, _) in enumerate(self.parts)
            for k in range(count)
        ]
        batches = [iter(batches) for _, batches in self.parts]
        for _, part in sorted(due):
            batch = next(batches[part], None)
            if batch is not None:
                yield batch
