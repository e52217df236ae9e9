"""Batch loaders for training and for ranking."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.utils import InputType
from torch import Tensor

from recbole_intent.data.loading.checked_dataset import taken
from recbole_intent.data.loading.passes import plan_batches, plan_passes, strided_starts
from recbole_intent.data.loading.sequences import (
    SAMPLE_FIELD,
    START_FIELD,
    TARGET_FIELD,
    IndexedSequentialDataset,
)
from recbole_intent.utils.errors import UserError

# The scores of an evaluation batch, rows x items, stay below this many numbers (64 MiB).
MAX_SCORES = 2**24


class SequenceTrainLoader(TrainDataLoader):
    """Training batches of an `IndexedSequentialDataset`, as rows or as shared passes.

    RecBole's transforms and negative sampling apply to rows as they do in its own loader. The
    order of an epoch depends only on the seed and the epoch's number, so that a resumed run gets
    the same batches.

    Args:
        config: with `train_batch_size` (targets per batch), `passes`, `windows`, `train_targets`.
        dataset: the training split.
        sampler: RecBole's negative sampler, or None.
        trim: cut rows to the batch's longest history; else pad to `MAX_ITEM_LIST_LENGTH`.
        shares: whether the model may be trained on shared passes.
        shuffle: False keeps RecBole's order, for comparison with it.

    Attributes:
        numbered: batches have a column `SAMPLE_FIELD`, the number in the split of each row's
            sample, or of each target's; 0 as padding. A trainer sets it before an epoch.

    Raises:
        UserError: `passes`, `windows` or `train_targets` that this model or loss cannot use.
    """

    def __init__(
        self,
        config,
        dataset: IndexedSequentialDataset,
        sampler,
        *,
        trim: bool,
        shares: bool,
        shuffle: bool,
    ) -> None:
        super().__init__(config, dataset, sampler, shuffle=shuffle)
        self.trim = trim
        self.numbered = False
        self.epoch = 0
        self.passes = self._passes(config, shares)
        self.is_strided = config["windows"] == "strided" and self.passes is not None
        if self.is_strided and dataset.is_noisy:
            raise UserError("windows: strided cannot be combined with noise in training")
        self._take(self._targets(config["train_targets"]))

    def _take(self, chosen: np.ndarray) -> None:
        """Restrict training to these samples (N,)."""
        dataset = self._dataset
        self._chosen = chosen
        self.sample_size = len(chosen)
        samples = taken(dataset.inter_feat, torch.from_numpy(chosen))
        self._start = samples[START_FIELD].numpy()
        self._length = samples[dataset.item_list_length_field].numpy()
        if self.is_strided:
            target = samples[TARGET_FIELD].numpy()
            user_start = dataset.sequences.user_start.numpy()[target]
            self._start = strided_starts(self._start, target, user_start, dataset.max_item_list_len)
            self._length = target - self._start

    def _targets(self, which: str | int | None) -> np.ndarray:
        """Sample numbers of an epoch's targets; an int means that many random ones per user."""
        if which == "last":
            return self._dataset.last_samples()
        if which in (None, "all"):
            return np.arange(len(self._dataset.inter_feat))
        rng = np.random.default_rng([self.config["seed"], self.epoch, 1])
        users = self._dataset.inter_feat[self._dataset.uid_field].numpy()
        order = rng.permutation(len(users))
        order = order[np.argsort(users[order], kind="stable")]  # by user, shuffled within each
        users = users[order]
        first = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
        within = np.arange(len(users)) - np.repeat(first, np.diff(np.r_[first, len(users)]))
        return np.sort(order[within < int(which)])

    def _passes(self, config, shares: bool) -> int | None:
        passes = config["passes"]
        rows_only = (
            not shares
            or config["transform"] is not None
            or config["train_neg_sample_args"]["distribution"] != "none"
            or config["MODEL_INPUT_TYPE"] == InputType.PAIRWISE
        )
        if passes == "all" or not rows_only:
            return None if passes == "all" else passes
        logging.getLogger("recbole_intent").warning(
            "passes: %d has no effect here: %s trains a row per target", passes, config["model"]
        )
        return None

    def set_epoch(self, epoch: int) -> None:
        """Set the order, and the targets if they are random, of the next iteration."""
        self.epoch = epoch
        if isinstance(self.config["train_targets"], int):
            self._take(self._targets(self.config["train_targets"]))

    def __len__(self) -> int:
        return -(-self.sample_size // self.step)

    def __iter__(self) -> Iterator[Interaction]:
        if not self.shuffle:
            for first in range(0, self.sample_size, self.step):
                yield self._row_batch(self._chosen[first : first + self.step])
            return
        rng = np.random.default_rng([self.config["seed"], self.epoch])
        plan = plan_passes(self._start, self._start + self._length, self.passes, rng)
        # BERT4Rec's loss of a batch with only one-item histories is 0 / 0.
        by_length = self.config["transform"] is None
        for batch in plan_batches(plan, self.step, rng, by_length=by_length):
            if self.passes is None:
                yield self._row_batch(self._chosen[plan.samples[batch]])
            else:
                yield self._shared_batch(plan, batch)

    def _row_batch(self, index: np.ndarray) -> Interaction:
        width = None if self.trim else self._dataset.max_item_list_len
        rows = self._dataset.join(self._dataset.rows(index, width))
        if self.numbered:
            rows.update(Interaction({SAMPLE_FIELD: torch.from_numpy(index)}))
        return self._neg_sampling(self.transform(self._dataset, rows))

    def _shared_batch(self, plan, batch: np.ndarray) -> Interaction:
        dataset = self._dataset
        length = torch.from_numpy(plan.length[batch])
        width = int(length.max()) if self.trim else dataset.max_item_list_len
        columns = dataset.sequences.gather(torch.from_numpy(plan.start[batch]), length, width)

        # Targets of pass p in row p, left-aligned: (B, T), padded with 0.
        count = plan.targets[batch]
        row = np.repeat(np.arange(len(batch)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        numbers = plan.samples[np.repeat(plan.first[batch], count) + within]
        samples = self._chosen[numbers]
        lengths = torch.zeros(len(batch), count.max(), dtype=torch.long)
        items = torch.zeros_like(lengths)
        lengths[row, within] = torch.from_numpy(self._length[numbers])
        items[row, within] = dataset.inter_feat[dataset.iid_field][samples]
        if self.numbered:
            columns[SAMPLE_FIELD] = torch.zeros_like(lengths)
            columns[SAMPLE_FIELD][row, within] = torch.from_numpy(samples)
        columns[dataset.item_list_length_field] = lengths
        columns[dataset.iid_field] = items
        columns[dataset.uid_field] = dataset.inter_feat[dataset.uid_field][
            self._chosen[plan.samples[plan.first[batch]]]
        ]
        return Interaction(columns)


@dataclass(frozen=True)
class RankingBatch:
    """Rows to be ranked against all items, or among their candidates.

    Attributes:
        interaction: the model's input, B rows.
        user: (B,) user of each row.
        target: (B,) the item to rank.
        excluded: (row, item) index pairs excluded from the ranking, or None.
        candidates: (B, C) the items to rank, including the target; None: all items.
    """

    interaction: Interaction
    user: Tensor
    target: Tensor
    excluded: tuple[Tensor, Tensor] | None
    candidates: Tensor | None = None


class RankingLoader:
    """Every (user, target) pair of a split, for a ranking over all items.

    Its attribute `candidates`, (N, C) int32 in the order of the split, restricts each row's
    ranking to these items (the direct task, see `data/candidates.py`). `popularity`, (V,) int64,
    counts each item's interactions in training as RecBole does: in a sequential model, those with
    an earlier one of their user.

    Args:
        dataset: the split: an `IndexedSequentialDataset` or any RecBole dataset.
        batch_size: rows per batch, reduced for a large catalogue.
        trim: cut rows to the batch's longest history (`IndexedSequentialDataset` only).
        history: sparse (CSR) user x item matrix of items to exclude from the user's ranking
            (`mask_history: True`).
        by_sample: `history` has one row per sample instead of one per user.
    """

    def __init__(
        self, dataset, batch_size: int, *, trim: bool, history=None, by_sample: bool = False
    ):
        self.dataset = dataset
        self.trim = trim
        self.batch_size = max(1, min(batch_size, MAX_SCORES // dataset.item_num))
        self.indexed = isinstance(dataset, IndexedSequentialDataset)
        self._history = history
        self._by_sample = by_sample
        self.candidates: Tensor | None = None
        self.popularity: np.ndarray | None = None
        # Rows of similar length share a batch; the order does not affect ranks.
        self._order = torch.arange(len(dataset.inter_feat))
        if self.indexed:
            self._order = dataset.inter_feat[dataset.item_list_length_field].argsort(stable=True)

    def __len__(self) -> int:
        return -(-len(self._order) // self.batch_size)

    def __iter__(self) -> Iterator[RankingBatch]:
        return self.share(0, 1)

    def share(self, first: int, step: int) -> Iterator[RankingBatch]:
        """Batches `first`, `first + step` …: the share of one process."""
        dataset = self.dataset
        for index in self._order.split(self.batch_size)[first::step]:
            if self.indexed:
                width = None if self.trim else dataset.max_item_list_len
                interaction = dataset.join(dataset.rows(index, width))
            else:
                interaction = dataset[index]
            user = dataset.inter_feat[dataset.uid_field][index]
            target = dataset.inter_feat[dataset.iid_field][index]
            if self.candidates is not None:
                candidates = self.candidates[index].long()
                yield RankingBatch(interaction, user, target, None, candidates)
                continue
            excluded = self._excluded(index if self._by_sample else user)
            yield RankingBatch(interaction, user, target, excluded)

    @property
    def n_ranked(self) -> int:
        """Number of items in each row's ranking, ignoring the history mask."""
        if self.candidates is not None:
            return self.candidates.shape[1]
        return self.dataset.item_num - 1

    def _excluded(self, place: Tensor) -> tuple[Tensor, Tensor] | None:
        """(row, item) pairs of the history matrix's rows `place` (B,)."""
        if self._history is None:
            return None
        rows = self._history[place.numpy()].tocoo()
        return torch.from_numpy(rows.row).long(), torch.from_numpy(rows.col).long()
