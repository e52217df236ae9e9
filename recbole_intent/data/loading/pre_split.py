"""Pre-split files for sequential models: `benchmark_filename: [train, valid, test]`.

Such files come in two forms. *Plain* parts hold interactions (user, item and time), each of which
is a target of its part. Parts of *rows* hold whole samples: a session, the items before the target
(`item_id_list:token_seq`) and the target. In both cases the samples equal those from splitting the
same data here.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource

from recbole_intent.data.formats.atomic_tables import read_atomic, read_header
from recbole_intent.data.loading.checked_dataset import CheckedSequentialDataset, taken
from recbole_intent.data.loading.sequences import TARGET_FIELD, IndexedSequentialDataset
from recbole_intent.utils.errors import UserError

PARTS = ("training", "validation", "test")


def part_paths(config) -> list[Path]:
    """The files of the three parts."""
    folder = Path(config["data_path"])
    return [
        folder / f"{config['dataset']}.{part}.inter" for part in config["benchmark_filename"] or ()
    ]


def list_field(config) -> str:
    """The column of a row's history, by default `item_id_list`."""
    return f"{config['ITEM_ID_FIELD']}{config['LIST_SUFFIX']}"


def has_rows(config) -> bool:
    """Whether the parts hold rows with histories, according to the header of the first."""
    header = read_header(
        part_paths(config)[0], config["field_separator"], config["encoding"] or "utf-8"
    )
    return list_field(config) in header


class PreSplitDataset(IndexedSequentialDataset):
    """The samples of pre-split files, as (start, length) into `sequences`.

    Attributes:
        holds_rows: the files hold rows with histories; their users have no other history.
    """

    def __init__(self, config) -> None:
        self.holds_rows = has_rows(config)
        super().__init__(config)

    @property
    def is_by_time(self) -> bool:
        """Whether parts are sorted by time: plain ones are; rows bring their own order."""
        return not self.holds_rows

    def _benchmark_presets(self) -> None:
        """Skip RecBole's presets, which do not apply to samples by index."""

    def _get_load_and_unload_col(self, source):
        load, unload = super()._get_load_and_unload_col(source)
        if self.holds_rows and source == FeatureSource.INTERACTION:
            # The history's items have only these columns.
            load, unload = {self.uid_field, self.iid_field, list_field(self.config)}, None
        return load, unload

    def _id_lists(self, kind: str) -> list[str]:
        return [list_field(self.config)] if self.holds_rows and kind == "inter" else []

    def _load_inter_feat(self, token: str, dataset_path: str) -> None:
        super()._load_inter_feat(token, dataset_path)
        part = np.repeat(np.arange(len(self.file_size_list)), self.file_size_list)
        if self.holds_rows:
            self._lay_out_rows(part)
        else:
            self._order_plain(part)

    def _aliases(self, name: str) -> list[str]:
        # The histories are stored in the item column.
        return [field for field in super()._aliases(name) if field != list_field(self.config)]

    def _order_plain(self, part: np.ndarray) -> None:
        """Sort by user, in order of first appearance, and time; check the order of the parts."""
        frame = self.inter_feat
        user = pd.factorize(frame[self.uid_field])[0]
        time = frame[self.time_field].to_numpy()
        order = np.lexsort((part, time, user))  # stable: equal times keep the files' order
        user, part = user[order], part[order]
        back = np.flatnonzero((user[1:] == user[:-1]) & (part[1:] < part[:-1]))
        if len(back):
            self._refuse_mixed(int(order[back[0]]), part[back[0]], part[back[0] + 1])
        self.inter_feat = frame.iloc[order].reset_index(drop=True)
        self._part = part

    def _refuse_mixed(self, row: int, later: int, earlier: int) -> None:
        config = self.config
        path = part_paths(config)[later]
        first = int(np.r_[0, np.cumsum(self.file_size_list)][later])
        line = read_atomic(
            path,
            [self.uid_field],
            separator=config["field_separator"],
            encoding=config["encoding"] or "utf-8",
        ).frame.index[row - first]
        raise UserError(
            f"{path}:{line}: user {self.inter_feat[self.uid_field].iloc[row]!r} has a later "
            f"interaction in the {PARTS[earlier]} part; a sequential model needs each user's "
            "parts one after the other in time (general models do not)"
        )

    def _lay_out_rows(self, part: np.ndarray) -> None:
        """Expand the rows' histories and targets into interactions, grouped by user.

        A row whose history is the previous row's history and target continues the same sequence,
        so that rows of one session are laid out as in data without a split.
        """
        frame, name = self.inter_feat, list_field(self.config)
        length = np.array([len(history) for history in frame[name]])
        order = np.lexsort((length, part, pd.factorize(frame[self.uid_field])[0]))
        frame, length, self._part = frame.iloc[order], length[order], part[order]
        users, targets = (
            frame[column].to_numpy(dtype=object) for column in (self.uid_field, self.iid_field)
        )
        histories = frame[name].tolist()
        goes_on = np.zeros(len(frame), dtype=bool)
        for row in np.flatnonzero((users[1:] == users[:-1]) & (np.diff(length) == 1)) + 1:
            before, now = histories[row - 1], histories[row]
            goes_on[row] = now[-1] == targets[row - 1] and np.array_equal(now[:-1], before)
        pieces = [
            [target] if same else [*history, target]
            for history, target, same in zip(histories, targets, goes_on, strict=True)
        ]
        sizes = np.array([len(piece) for piece in pieces])
        self._target = np.cumsum(sizes) - 1  # (R,) flat index of each row's target
        first = (self._target - length)[~goes_on]  # of each sequence
        self._start = np.repeat(first, np.diff(np.r_[first, sizes.sum()]))
        items = np.array([item for piece in pieces for item in piece], dtype=object)
        self.inter_feat = pd.DataFrame(
            {self.uid_field: np.repeat(users, sizes), self.iid_field: items}
        )
        for known in (self.field2type, self.field2source, self.field2seqlen):
            known.pop(name, None)

    def _remap_ID_all(self) -> None:
        super()._remap_ID_all()
        if self.holds_rows:
            self.repeated = 0
            self.size |= {"interactions": len(self._target), "alone": 0}

    def _change_feat_format(self) -> None:
        super()._change_feat_format()  # creates no samples for pre-split files
        self.data_augmentation()

    def _starts_and_targets(self) -> tuple[np.ndarray, np.ndarray]:
        if not self.holds_rows:
            return super()._starts_and_targets()
        return self._start, self._target

    def build(self) -> list["PreSplitDataset"]:
        """The three parts, with one sample per target that has a preceding item."""
        self._change_feat_format()
        self._drop_unused_col()
        part = self._part if self.holds_rows else self._part[self.inter_feat[TARGET_FIELD].numpy()]
        parts = [
            self.copy(taken(self.inter_feat, torch.from_numpy(np.flatnonzero(part == number))))
            for number in range(len(PARTS))
        ]
        return self.in_single_precision(parts)


class PaddedPreSplitDataset(CheckedSequentialDataset):
    """The same samples as padded rows (`fast_sequences: False`)."""

    def __init__(self, config) -> None:
        indexed = PreSplitDataset(config)
        parts = indexed.build()
        self.__dict__.update(vars(indexed))
        self.inter_feat = self._padded(indexed)
        self._parts = [self.copy(self._padded(part)) for part in parts]

    def _padded(self, samples: PreSplitDataset) -> Interaction:
        return samples.rows(torch.arange(len(samples.inter_feat)), self.max_item_list_len)

    def build(self) -> list[CheckedSequentialDataset]:
        """The three parts."""
        return self._parts
