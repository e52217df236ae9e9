"""Sequences by index: one flat item array and (start, length) per sample, without padded copies.

RecBole's `SequentialDataset` stores every prefix of every user as a padded row. Here a sample is
two numbers that point into the interactions, sorted by user and time; rows are gathered only for
the batch that needs them and are no longer than its longest history. Samples, their order and
their split into training, validation and test are RecBole's own: every step after the augmentation
is inherited.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_intent.data.loading.checked_dataset import CheckedSequentialDataset, taken
from recbole_intent.data.loading.noise import perturb
from recbole_intent.data.loading.session_split import matrix_of, split_by_session
from recbole_intent.utils.errors import UserError

START_FIELD = "sequence_start"  # flat index of a sample's first history item
TARGET_FIELD = "sequence_target"  # flat index of the sample's target in the clean interactions
SAMPLE_FIELD = "sequence_sample"  # number of the sample in its split, of batches that are numbered


@dataclass(frozen=True)
class FlatSequences:
    """All interactions, sorted by user and time; the history of a sample is a slice of them.

    Attributes:
        fields: name of a list field (such as `item_id_list`) -> values (N, ...), one per
            interaction, in RecBole's internal ids.
        user_start: (M,) for every clean interaction i < M, the flat index of the first
            interaction of its user.
    """

    fields: dict[str, Tensor]
    user_start: Tensor

    def gather(self, start: Tensor, length: Tensor, width: int) -> dict[str, Tensor]:
        """Gather histories as right-padded rows.

        Args:
            start: (B,) flat index of each row's first item.
            length: (B,) number of items, 0 <= length <= width.
            width: n, number of columns.

        Returns:
            Field name -> (B, n, ...), padded with zeros.
        """
        column = torch.arange(width)
        inside = column < length.unsqueeze(1)  # (B, n)
        index = torch.where(inside, start.unsqueeze(1) + column, 0)
        rows = {}
        for name, values in self.fields.items():
            taken = values[index]
            shape = inside.shape + (1,) * (taken.dim() - 2)
            rows[name] = taken * inside.view(shape).to(taken.dtype)
        return rows


class IndexedSequentialDataset(CheckedSequentialDataset):
    """RecBole's `SequentialDataset` with samples kept as (start, length) into `sequences`.

    `inter_feat` has, per sample, the user, the target's columns, `item_length`, and the two
    index columns `START_FIELD` and `TARGET_FIELD`; `rows` creates the list fields.
    """

    def data_augmentation(self) -> None:
        """Make every prefix of every user a sample, vectorised; see RecBole's method of this name.

        A sample's history is up to `MAX_ITEM_LIST_LENGTH` interactions before its target.
        """
        self._aug_presets()
        user_start, target = self._starts_and_targets()
        flat = self.inter_feat
        start = np.maximum(user_start[target], target - self.max_item_list_len)

        self.sequences = FlatSequences(
            fields={
                getattr(self, f"{field}_list_field"): flat[field]
                for field in flat
                if field != self.uid_field
            },
            user_start=torch.from_numpy(user_start),
        )
        # Users and items of all interactions (M,): whole histories, and the source of perturbed
        # ones.
        self.clean_users = flat[self.uid_field]
        self.clean_items = flat[self.iid_field]
        self.is_noisy = False
        samples = taken(flat, torch.from_numpy(target))
        samples.update(
            Interaction(
                {
                    self.item_list_length_field: torch.from_numpy(target - start),
                    START_FIELD: torch.from_numpy(start),
                    TARGET_FIELD: torch.from_numpy(target),
                }
            )
        )
        self.inter_feat = samples

    def _starts_and_targets(self) -> tuple[np.ndarray, np.ndarray]:
        """Sort by user and time, and return the flat indices of users' first items and of targets.

        These are, for each interaction, that of its user's first one (M,), and all targets (S,):
        every interaction except a user's first.
        """
        self._check_field("uid_field", "time_field")
        self.sort(by=[self.uid_field, self.time_field], ascending=True)
        users = self.inter_feat[self.uid_field].numpy()
        if len(users) == 0:
            raise UserError(f"dataset {self.dataset_name}: no interaction is left after filtering")
        index = np.arange(len(users))
        first = np.r_[True, users[1:] != users[:-1]]
        target = index[~first]
        if len(target) == 0:
            raise UserError(
                f"dataset {self.dataset_name}: no user has two interactions, nothing to predict; "
                "prepare it with --k_core=3 or more"
            )
        return np.maximum.accumulate(np.where(first, index, 0)), target

    def build(self) -> list["IndexedSequentialDataset"]:
        """The three splits: RecBole's, or with `session_split` those of the split file."""
        if not self.config["session_split"]:
            return super().build()
        self._change_feat_format()
        return self.in_single_precision(split_by_session(self))

    def in_single_precision(self, parts: list) -> list:
        """As `CheckedDataset.in_single_precision`, including the lists that all parts share."""
        fields = {
            name: values.float() if values.dtype == torch.float64 else values
            for name, values in self.sequences.fields.items()
        }
        for part in (self, *parts):
            part.sequences = replace(self.sequences, fields=fields)
        return super().in_single_precision(parts)

    def rows(self, index, width: int | None = None) -> Interaction:
        """The samples at `index` as RecBole's padded rows.

        Args:
            index: sample numbers of this split, (B,).
            width: number of columns; None: the batch's longest history.

        Returns:
            RecBole's interaction of these samples: user, target's columns, list fields (B, n),
            `item_length` (B,).
        """
        index = torch.as_tensor(index)
        samples = taken(self.inter_feat, index)
        length = samples[self.item_list_length_field]
        columns = {
            name: samples[name] for name in samples if name not in (START_FIELD, TARGET_FIELD)
        }
        width = int(length.max()) if width is None else width
        columns.update(self.sequences.gather(samples[START_FIELD], length, width))
        return Interaction(columns)

    def by_length(
        self, samples: Tensor, batch_size: int, width: int | None = None
    ) -> Iterator[tuple[Tensor, Interaction]]:
        """Batches of samples of similar length, to reduce padding.

        Args:
            samples: (N,) sample numbers.
            batch_size: rows of a batch, B.
            width: as in `rows`.

        Yields:
            Places (B,) in `samples`, and the rows of these samples.
        """
        order = self.inter_feat[self.item_list_length_field][samples].argsort(stable=True)
        for places in order.split(batch_size):
            yield places, self.rows(samples[places], width)

    @property
    def _item_list_field(self) -> str:
        return getattr(self, f"{self.iid_field}_list_field")

    def with_noise(self, ratio: float, kind: str, seed: int) -> "IndexedSequentialDataset":
        """This split with perturbed histories; targets stay unchanged (IGR-SR, Table 3).

        Histories are perturbed user by user over the interactions that this split may see, and a
        sample's window is the last `MAX_ITEM_LIST_LENGTH` items of its perturbed history. With
        `shuffle`, a history could contain its own target if the target were among the shuffled
        interactions. So only interactions before *every* target of the user in this split are
        shuffled, and a training split (where only one would remain) raises an error.

        Args:
            ratio: share of each user's interactions to perturb, 0..1.
            kind: `replace`, `insert`, `delete` or `shuffle`.
            seed: seed of the perturbation; independent of the training seed.

        Raises:
            UserError: several targets per user with `shuffle`, or list fields other than the items
                (their noisy values are undefined).
        """
        field = self._item_list_field
        users = self.inter_feat[self.uid_field]
        target = self.inter_feat[TARGET_FIELD]
        if kind == "shuffle" and len(torch.unique(users)) < len(users):
            raise UserError(
                "noise: kind `shuffle` needs one target a user; use `where: test` with the "
                "leave-one-out split, or kind `replace`, `insert` or `delete` in training"
            )
        others = [
            name
            for name in self.sequences.fields
            if name not in (field, f"{self.time_field}{self.config['LIST_SUFFIX']}")
        ]
        if others:
            raise UserError(f"noise: histories with {others[0]} cannot be perturbed; unload it")

        # Each user's interactions before the last target of this split.
        begin = self.sequences.user_start[target]
        last = torch.zeros(len(self.clean_items) + 1, dtype=torch.long)
        last.scatter_reduce_(0, begin, target, "amax")
        owners = torch.unique(begin)
        counts = last[owners] - owners
        offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
        rank = torch.searchsorted(owners, begin)  # index of a sample's owner
        flat_of = torch.repeat_interleave(owners - offsets[:-1], counts) + torch.arange(
            int(offsets[-1])
        )
        noisy, new_positions = perturb(
            self.clean_items[flat_of].numpy(),
            offsets.numpy(),
            self.item_num,
            ratio=ratio,
            kind=kind,
            seed=seed,
        )
        position_map = torch.from_numpy(new_positions)
        user_begin = position_map[offsets[rank]]
        end = position_map[offsets[rank] + target - begin]
        start = torch.maximum(user_begin, end - self.max_item_list_len)

        dataset = self.copy(taken(self.inter_feat, torch.arange(len(self.inter_feat))))
        dataset.is_noisy = True
        dataset.inter_feat.update(
            Interaction({START_FIELD: start, self.item_list_length_field: end - start})
        )
        fields = {field: torch.from_numpy(noisy)}
        dataset.sequences = replace(self.sequences, fields=fields)
        return dataset

    def last_samples(self) -> np.ndarray:
        """Sample numbers of each user's last target in this split, ascending."""
        target = self.inter_feat[TARGET_FIELD].numpy()
        order = np.argsort(target)  # interactions are grouped by user
        users = self.inter_feat[self.uid_field].numpy()[order]
        return np.sort(order[np.r_[users[1:] != users[:-1], True][: len(users)]])

    def history_matrix(self, by_sample: bool = False):
        """Sparse matrix of all interactions before the targets of this split.

        Args:
            by_sample: one row per sample; else one row per user, over all the user's samples.

        Returns:
            (N, V) or (U, V), CSR.
        """
        target = self.inter_feat[TARGET_FIELD]
        start = self.sequences.user_start[target]
        length = target - start
        within = torch.arange(int(length.sum())) - torch.repeat_interleave(
            length.cumsum(0) - length, length
        )
        items = self.clean_items[torch.repeat_interleave(start, length) + within]
        if by_sample:
            rows = torch.repeat_interleave(torch.arange(len(length)), length)
            return matrix_of(self, rows, items, len(length))
        users = torch.repeat_interleave(self.inter_feat[self.uid_field], length)
        return matrix_of(self, users, items)

    def inter_matrix(self, form: str = "coo", value_field: str | None = None):
        """Sparse user x item matrix of this split's samples and of each user's first item.

        As RecBole's method: a sample of length one also contributes the item before its target.
        """
        samples = self.inter_feat
        first = samples[self.item_list_length_field] == 1
        columns = {
            self.uid_field: torch.cat([samples[self.uid_field], samples[self.uid_field][first]])
        }
        start = samples[START_FIELD][first]
        for name in samples:
            values = self.sequences.fields.get(f"{name}{self.config['LIST_SUFFIX']}")
            if name != self.uid_field and values is not None:
                columns[name] = torch.cat([samples[name], values[start]])
        return self._create_sparse_matrix(
            Interaction(columns), self.uid_field, self.iid_field, form, value_field
        )
