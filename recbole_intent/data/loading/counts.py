"""Counts of a run's data: users, items, interactions, and removed interactions with reasons."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from recbole.data.dataset import SequentialDataset

from recbole_intent.data.loading.checked_dataset import CheckedDataset


@dataclass(frozen=True)
class DataCounts:
    """Sizes of the data of one run, for its log and its `result.json`.

    Attributes:
        users, items, interactions: after the filters.
        dropped: reason -> number of interactions removed.
        repeated: interactions with the user, item and time of another one; they are kept.
        targets: train, valid and test -> number of targets. In a general model all interactions
            are targets; in a sequential one those with an earlier one of the same user.
        untested_users: users without a test target, whose histories are too short for the split.
    """

    users: int
    items: int
    interactions: int
    dropped: dict[str, int]
    repeated: int
    targets: dict[str, int]
    untested_users: int

    @classmethod
    def of(cls, dataset: CheckedDataset, parts: Sequence[CheckedDataset]) -> Self:
        """Count a dataset and its three splits."""
        size, dropped = dataset.size, dict(dataset.dropped)
        tested = np.unique(parts[2].inter_feat[dataset.uid_field].numpy())
        if isinstance(dataset, SequentialDataset):
            alone = size.get("alone", 0)
            if alone:
                dropped["the only interaction of its user, which makes no sequence"] = alone
        return cls(
            size["users"],
            size["items"],
            size["interactions"],
            dropped,
            dataset.repeated,
            {
                name: len(part.inter_feat)
                for name, part in zip(("train", "valid", "test"), parts, strict=True)
            },
            size["users"] - len(tested),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """One line for the log."""
        parts = [
            f"{self.users:,} users, {self.items:,} items, {self.interactions:,} interactions",
            "targets: " + ", ".join(f"{name} {count:,}" for name, count in self.targets.items()),
        ]
        parts += [f"dropped {count:,} ({reason})" for reason, count in self.dropped.items()]
        if not self.dropped:
            parts.append("dropped none")
        if self.repeated:
            parts.append(f"{self.repeated:,} repeat user, item and time of another one")
        if self.untested_users:
            parts.append(f"{self.untested_users:,} users without a test target")
        return "; ".join(parts)
