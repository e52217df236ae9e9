"""A split dataset, before and after batching."""

from dataclasses import dataclass
from typing import Any

from recbole.data.dataset import Dataset

from recbole_intent.data.loading.counts import DataCounts
from recbole_intent.data.loading.inputs import Inputs
from recbole_intent.data.loading.loader import RankingLoader


@dataclass(frozen=True)
class SplitData:
    """A split dataset.

    Attributes:
        dataset: the whole dataset, for sizes and names.
        train_dataset: the training split that `train` batches, with noise if any.
        train: training batches.
        valid: (user, target) rows for choosing the epoch and the hyper-parameters.
        test: rows for the reported result, used once.
        fingerprint: SHA-256 of the atomic files that were read.
        counts: users, items, interactions, and removed ones.
        candidates: metadata of the direct task's candidates (negatives, seed, hash); None if all
            items are ranked.
    """

    dataset: Dataset
    train_dataset: Dataset
    train: Any
    valid: RankingLoader
    test: RankingLoader
    fingerprint: str
    counts: DataCounts
    candidates: dict[str, Any] | None = None


@dataclass(frozen=True)
class Parts:
    """A dataset after reading and splitting, before batching.

    Attributes:
        inputs: the files that were read.
        dataset: the whole dataset.
        train, valid, test: its splits.
        is_indexed: the splits are `IndexedSequentialDataset`s.
    """

    inputs: Inputs
    dataset: Dataset
    train: Dataset
    valid: Dataset
    test: Dataset
    is_indexed: bool
