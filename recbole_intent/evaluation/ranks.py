"""Ranks of targets among all items, computed by counting, and the file that stores them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.own_files import damaged, read_npz

# Strips of this size stay in cache, so the comparisons are summed without a memory round trip.
_CPU_STRIP_BYTES = 4 * 2**20
_ACCELERATOR_STRIP_BYTES = 256 * 2**20

# float32 represents counts exactly up to this number.
_FLOAT32_COUNT = 2**24


def rank_of_targets(
    scores: Tensor,
    targets: Tensor,
    *,
    excluded: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Rank each row's target among all items: 1 + items scored higher + half of the other ties.

    This is the expected rank under a random order of equal scores, so a model that scores all
    items alike gets the middle rank, not the best. Item 0 is padding and is never counted.

    Args:
        scores: (B, V) scores of all items, any float type; infinities are allowed. Not changed.
        targets: (B,) int64, in 1 .. V - 1.
        excluded: (rows, items), two (P,) int64 tensors: item `items[p]` does not count for row
            `rows[p]`, as for a masked history. Pairs may repeat; a target excluded from its own
            row still counts.

    Returns:
        (B,) float64 ranks in 1 .. V - 1, on the device of `scores`.

    Raises:
        ValueError: shapes that do not match, or a target that is not an item.
        UserError: a score is NaN, which has no rank.
    """
    if scores.dim() != 2 or targets.shape != scores.shape[:1]:
        raise ValueError(f"scores (B, V) and targets (B,): {scores.shape}, {targets.shape}")
    n_rows, n_items = scores.shape
    if n_rows == 0:
        return scores.new_empty(0, dtype=torch.float64)
    if not 1 <= int(targets.min()) <= int(targets.max()) < n_items:
        raise ValueError(f"targets must be items 1 .. {n_items - 1} (0 is padding)")

    target_score = scores.gather(1, targets[:, None])  # (B, 1)
    # 1 + better + tied / 2 = 1/2 + (#(s > t) + #(s >= t)) / 2: the target ties with itself.
    counted = _count_both(scores, target_score)
    if excluded is not None:
        counted -= _count_excluded(scores, targets, target_score, *excluded)
    return (counted + 1) / 2


def _count_both(scores: Tensor, target_score: Tensor) -> Tensor:
    """#(s > t) + #(s >= t) over the items 1 .. V - 1 of each row, (B,) float64."""
    n_rows, n_items = scores.shape
    strip_bytes = _CPU_STRIP_BYTES if scores.device.type == "cpu" else _ACCELERATOR_STRIP_BYTES
    strip_rows = max(1, strip_bytes // (4 * n_items))
    # On a CPU, summing zeros and ones as floats is many times faster than summing booleans.
    count_type = torch.float32 if n_items <= _FLOAT32_COUNT else torch.float64
    buffer = scores.new_empty((min(strip_rows, n_rows), n_items - 1), dtype=count_type)
    counted = scores.new_empty(n_rows, dtype=torch.float64)
    peaks = scores.new_empty(n_rows)
    for start in range(0, n_rows, strip_rows):
        rows = slice(start, start + strip_rows)
        strip, t = scores[rows, 1:], target_score[rows]  # (c, V - 1), (c, 1)
        ones = buffer[: len(strip)]
        peaks[rows] = strip.amax(dim=1)  # NaN if any score is
        better = torch.gt(strip, t, out=ones).sum(dim=1)
        counted[rows] = better.double() + torch.ge(strip, t, out=ones).sum(dim=1)
    _refuse_nan(scores, peaks)
    return counted


def _refuse_nan(scores: Tensor, peaks: Tensor) -> None:
    """Raise if a row's largest score is NaN, naming the first NaN."""
    broken_rows = peaks.isnan().nonzero().flatten()
    if len(broken_rows):
        row = int(broken_rows[0])
        item = int(scores[row, 1:].isnan().nonzero()[0]) + 1
        raise UserError(
            f"the model scores item {item} of row {row} as NaN ({len(broken_rows)} of "
            f"{len(scores)} rows have NaN): training diverged, so lower learning_rate"
        )


def _count_excluded(
    scores: Tensor, targets: Tensor, target_score: Tensor, rows: Tensor, items: Tensor
) -> Tensor:
    """The contribution of the excluded pairs to `_count_both`, (B,) float64."""
    n_rows, n_items = scores.shape
    if rows.dim() != 1 or rows.shape != items.shape:
        raise ValueError(f"excluded must be two (P,) tensors: {rows.shape}, {items.shape}")
    pair = torch.unique(rows * n_items + items)  # a history may hold an item twice
    rows, items = pair // n_items, pair % n_items
    counts = (items != 0) & (items != targets[rows])
    rows, items = rows[counts], items[counts]
    score, t = scores[rows, items], target_score[rows, 0]
    twice = (score > t).double() + (score >= t).double()
    return scores.new_zeros(n_rows, dtype=torch.float64).index_add_(0, rows, twice)


@dataclass(frozen=True, eq=False)
class Top:
    """The lists of the rows of `Ranks`, kept if a metric looks at them.

    Attributes:
        items: (N, K) int32, the best K items, best first; a row ends with zeros if it has fewer.
        n_ranked: (N,) int64, number of items that were ranked.
        popularity: (V,) int64, interactions of each item in training.
        tail_ratio: the key of this name.
    """

    items: np.ndarray
    n_ranked: np.ndarray
    popularity: np.ndarray
    tail_ratio: float

    def take(self, rows: np.ndarray) -> Self:
        """The lists of some rows, (N,) bool or indices."""
        return replace(self, items=self.items[rows], n_ranked=self.n_ranked[rows])


_TOP = ("items", "n_ranked", "popularity", "tail_ratio")


@dataclass(frozen=True, eq=False)
class Ranks:
    """The rank of every evaluated target, sorted by user, then target, then rank.

    A user may have several targets (ratio splits). Thanks to the order, the ranks of two models on
    the same data are comparable element by element.

    Attributes:
        user: (N,) int64.
        target: (N,) int64, item ids.
        rank: (N,) float64, >= 1, halves where scores tie.
        top: the lists; None if no metric needs them.
    """

    user: np.ndarray
    target: np.ndarray
    rank: np.ndarray
    top: Top | None = None

    def __post_init__(self) -> None:
        user = np.asarray(self.user, dtype=np.int64)
        target = np.asarray(self.target, dtype=np.int64)
        rank = np.asarray(self.rank, dtype=np.float64)
        if user.ndim != 1 or not user.shape == target.shape == rank.shape:
            raise ValueError(
                f"user, target and rank must be (N,): {user.shape}, {target.shape}, {rank.shape}"
            )
        if not (rank >= 1).all():
            raise ValueError("every rank must be at least 1")
        order = np.lexsort((rank, target, user))
        # A frozen dataclass sets its fields in `__post_init__` only this way.
        object.__setattr__(self, "user", user[order])
        object.__setattr__(self, "target", target[order])
        object.__setattr__(self, "rank", rank[order])
        if self.top is not None:
            object.__setattr__(self, "top", self.top.take(order))

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray) -> Self:
        """Some rows, (N,) bool or indices."""
        top = self.top and self.top.take(rows)
        return type(self)(self.user[rows], self.target[rows], self.rank[rows], top)

    def by_row(self) -> Self:
        """Each row as a user of its own, in the same order."""
        return replace(self, user=np.arange(len(self)))

    def save(self, path: str | Path) -> None:
        """Write atomically to `path` (.npz).

        Args:
            path: the file; its folder is created if missing.

        Raises:
            UserError: the file cannot be written; an existing one is unchanged.
        """
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            lists = vars(self.top) if self.top else {}
            np.savez_compressed(file, user=self.user, target=self.target, rank=self.rank, **lists)

    @classmethod
    def load(cls, path: str | Path, remedy: str = "evaluate the run again") -> Self:
        """Read a file written by `save`.

        Args:
            path: the .npz file.
            remedy: advice in the error message if the file is damaged.

        Returns:
            The ranks.

        Raises:
            UserError: the file is missing or is not a file of ranks.
        """
        names = ("user", "target", "rank")
        arrays = read_npz(path, names, remedy, "not a file of ranks", _TOP)
        try:
            top = None
            if "items" in arrays:
                tail_ratio = float(arrays["tail_ratio"])
                top = Top(arrays["items"], arrays["n_ranked"], arrays["popularity"], tail_ratio)
            return cls(arrays["user"], arrays["target"], arrays["rank"], top)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise damaged(path, "not a file of ranks", remedy) from error
