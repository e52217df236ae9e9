"""Concatenated histories of a dataset's users, or of new ones."""

from dataclasses import dataclass

import numpy as np
import torch
from recbole.utils import ModelType
from torch import Tensor

from recbole_intent.config.config import Config
from recbole_intent.data.loading.pre_split import PreSplitDataset
from recbole_intent.data.loading.sequences import FlatSequences, IndexedSequentialDataset
from recbole_intent.data.loading.split_data import SplitData
from recbole_intent.utils.errors import UserError

PARTS = ("train", "valid", "all")


@dataclass(frozen=True)
class KnownHistories:
    """The interactions of all users (or of other people), concatenated.

    Attributes:
        items: (M,) items; in order of time for each user of a sequential model.
        start: (U,) flat index of each user's first interaction; user 0 is padding.
        end: (U,) flat index after each user's last known interaction.
        sequences: values of all list fields in the same order; None for a general model.
    """

    items: Tensor
    start: Tensor
    end: Tensor
    sequences: FlatSequences | None

    @classmethod
    def of(cls, config: Config, data: SplitData, part: str = "all") -> "KnownHistories":
        """Collect the histories of a loaded dataset.

        Args:
            config: configuration of the run.
            data: its data, without noise.
            part: `train`: only the training split; `valid`: also validation; `all`: also test.

        Raises:
            UserError: the dataset consists of pre-split files of rows with histories, which do not
                give whole ones.
        """
        splits = [data.train_dataset, data.valid.dataset, data.test.dataset]
        n_known = PARTS.index(part) + 1
        if config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
            known = [split.inter_feat for split in splits[:n_known]]
            users, items = (
                torch.cat([feat[field] for feat in known])
                for field in (config["USER_ID_FIELD"], config["ITEM_ID_FIELD"])
            )
            order = users.argsort(stable=True)
            start, end = _bounds(users, data.dataset.user_num)
            return cls(items[order], start, end, None)
        dataset = data.dataset
        if not isinstance(dataset, IndexedSequentialDataset):
            # RecBole's rows begin at a user's second interaction, so users with one are lost.
            is_split = bool(config["benchmark_filename"])
            dataset = (PreSplitDataset if is_split else IndexedSequentialDataset)(config)
            dataset.build()  # creates its sequences
        if isinstance(dataset, PreSplitDataset) and dataset.holds_rows:
            raise UserError(
                "benchmark_filename: rows with histories do not tell a user's whole history; "
                "give --histories=FILE"
            )
        start, end = _bounds(dataset.clean_users, dataset.user_num)
        for split in splits[n_known:]:  # later splits hold a user's later interactions
            later = split.inter_feat[config["USER_ID_FIELD"]].numpy()
            end -= torch.from_numpy(np.bincount(later, minlength=dataset.user_num))
        return cls(dataset.clean_items, start, end, dataset.sequences)

    @classmethod
    def of_items(cls, histories: list[list[int]], field: str) -> "KnownHistories":
        """Build new histories from item numbers, which become the list field `field`."""
        items = torch.tensor([item for history in histories for item in history]).long()
        length = torch.tensor([len(history) for history in histories])
        end = length.cumsum(0)
        start = end - length
        user_start = torch.repeat_interleave(start, length)
        return cls(items, start, end, FlatSequences({field: items}, user_start))

    def of_rows(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """All (row, item) pairs, (P,) and (P,), of the histories of `users` (B,), by row."""
        start, length = self.start[users], self.end[users] - self.start[users]
        row = torch.repeat_interleave(torch.arange(len(users)), length)
        before = length.cumsum(0) - length
        within = torch.arange(len(row)) - before[row]
        return row, self.items[start[row] + within]


def _bounds(users: Tensor, n_users: int) -> tuple[Tensor, Tensor]:
    count = torch.bincount(users, minlength=n_users)
    end = count.cumsum(0)
    return end - count, end
