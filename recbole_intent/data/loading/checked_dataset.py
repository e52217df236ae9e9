"""RecBole's datasets loaded by our reader: checked tables, ordered by exact times."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType

from recbole_intent.data.formats.atomic_tables import read_atomic
from recbole_intent.utils.errors import UserError


class CheckedDataset(Dataset):
    """A RecBole dataset whose files are read with `read_atomic`.

    RecBole reads `NA` as a missing id, takes a row's surplus cell for an index, and sorts times as
    float32, which cannot distinguish present-day seconds. Here ids are text, a bad row is an
    error, and interactions are sorted by the exact times in the file before any rounding; equal
    times keep the file's order. User and item numbers are RecBole's: by first appearance.

    Attributes:
        size: users, items and interactions after the filters, and users with only one (`alone`).
        dropped: reason -> number of interactions that a filter removed.
        repeated: interactions with the same user, item and time as another one; they are kept.
    """

    inter_feat: Interaction  # a table until RecBole's `_change_feat_format`

    def __init__(self, config) -> None:
        self.size: dict[str, int] = {}  # filled by `_remap_ID_all`
        self.dropped: dict[str, int] = {}
        self.repeated = 0
        super().__init__(config)

    @property
    def is_by_time(self) -> bool:
        """Whether the split follows times."""
        return needs_times(self.config)

    def _load_feat(self, filepath: str, source: FeatureSource | str) -> pd.DataFrame | None:
        load, unload = self._get_load_and_unload_col(source)
        if load == set():
            return None
        config, path = self.config, Path(filepath)
        kind = source.value if isinstance(source, FeatureSource) else source
        ids = {"inter": [self.uid_field, self.iid_field], "user": [self.uid_field]}.get(
            kind, [self.iid_field] if kind == "item" else []
        )
        times = [self.time_field] if kind == "inter" and self.is_by_time else []
        table = read_atomic(
            path,
            load,
            unload=unload or (),
            ids=[*ids, *self._id_lists(kind)],
            times=times,
            separator=config["field_separator"],
            seq_separator=config["seq_separator"],
            encoding=config["encoding"] or "utf-8",
        )
        for field in table.frame:
            self._describe(field, table, source)
        return self._as_recbole_reads(table.frame, table.types, ids)

    def _id_lists(self, kind: str) -> list[str]:
        """Columns of a table that hold further item ids, such as histories."""
        return self._aliases("item_id") if kind == "inter" else []

    def _describe(self, field: str, table: Any, source: FeatureSource | str) -> None:
        """Set RecBole's metadata of a column: type, source, length."""
        if source == "link":
            return
        kind = FeatureType(table.types[field])
        self.field2source[field], self.field2type[field] = source, kind
        self.field2seqlen[field] = 1
        if kind.value.endswith("seq"):
            longest = max(map(len, table.frame[field]))
            limit = (self.config["seq_len"] or {}).get(field, longest)
            self.field2seqlen[field] = min(limit, longest)
        if "float" in kind.value:
            self.field2bucketnum[field] = 2

    def _as_recbole_reads(
        self, frame: pd.DataFrame, types: dict[str, str], ids: Iterable[str]
    ) -> pd.DataFrame:
        frame = frame.reset_index(drop=True)
        for name in frame:
            if types[name] == "token" and name not in ids:
                frame[name] = frame[name].mask(frame[name] == "")  # an unknown feature
            elif types[name].endswith("seq"):
                length = self.field2seqlen[name]
                frame[name] = [cell[:length] for cell in frame[name]]
        return frame

    def _data_filtering(self) -> None:
        """Apply RecBole's filters, and count the interactions that each removes."""
        config = self.config
        self._count("", self._filter_nan_user_or_item)
        self._count(f"rm_dup_inter: {config['rm_dup_inter']}", self._remove_duplication)
        self._count(f"val_interval: {config['val_interval']}", self._filter_by_field_value)
        self._count(
            "filter_inter_by_user_or_item: not in the .user or .item file",
            self._filter_inter_by_user_or_item,
        )
        intervals = ("user_inter_num_interval", "item_inter_num_interval")
        given = [
            f"{key}: {config[key]}" for key in intervals if config[key] not in (None, "[0,inf)")
        ]
        self._count(", ".join(given), self._filter_by_inter_num)
        self._reset_index()

    def _filter_by_inter_num(self) -> None:
        """RecBole's filter, which walks through all interactions, only if it drops any."""
        if self._is_any_out_of_interval():
            super()._filter_by_inter_num()

    def _is_any_out_of_interval(self) -> bool:
        for field, feat, key in (
            (self.uid_field, self.user_feat, "user_inter_num_interval"),
            (self.iid_field, self.item_feat, "item_inter_num_interval"),
        ):
            intervals = self._parse_intervals_str(self.config[key])
            if intervals is None:
                continue
            counts = self.inter_feat[field].value_counts()
            if not all(self._within_intervals(n, intervals) for n in counts.unique().tolist()):
                return True
            least = intervals[0][1]
            if feat is not None and (counts.reindex(feat[field]).fillna(0) < least).any():
                return True
        return False

    def _count(self, reason: str, step: Callable[[], None]) -> None:
        before = len(self.inter_feat)
        step()
        left = len(self.inter_feat)
        if left < before:
            self.dropped[reason] = before - left
        if left == 0:
            raise UserError(
                f"dataset {self.dataset_name}: no interaction is left after {reason}; ask for less"
            )

    def _remove_duplication(self) -> None:
        keep = self.config["rm_dup_inter"]
        if keep is None:
            return
        frame = self.inter_feat
        if self.time_field in frame:
            frame = frame.sort_values(self.time_field, kind="stable")
        self.inter_feat = frame[~frame.duplicated([self.uid_field, self.iid_field], keep=keep)]

    def _aliases(self, name: str) -> list[str]:
        """Columns that share the numbering of `user_id` or `item_id`, by configuration."""
        return list(self.config[f"alias_of_{name}"] or [])

    def _set_alias(self, alias_name: str, default_value: list[str]) -> None:
        for field in self._aliases(alias_name):
            kind = self.field2type.get(field)
            if kind not in (FeatureType.TOKEN, FeatureType.TOKEN_SEQ):
                what = "is not a token column" if kind else "is not among the columns loaded"
                raise UserError(
                    f"alias_of_{alias_name}: {field!r} {what}; load_col names those to load"
                )
        names = dict.fromkeys([*filter(None, default_value), *self._aliases(alias_name)])
        self.alias[alias_name] = np.array(list(names))

    def _concat_remaped_tokens(self, remap_list):
        """RecBole's tokens; those of a single column stay in Arrow, a tenth of the memory."""
        if len(remap_list) == 1 and remap_list[0][2] == FeatureType.TOKEN:
            feat, field, _ = remap_list[0]
            return feat[field].array, np.array([], dtype=np.int64)
        return super()._concat_remaped_tokens(remap_list)

    def _remap_ID_all(self) -> None:
        super()._remap_ID_all()
        frame = self.inter_feat
        key = [name for name in (self.uid_field, self.iid_field, self.time_field) if name in frame]
        self.repeated = int(frame.duplicated(key).sum()) if self.time_field in frame else 0
        self.size = {
            "users": int(frame[self.uid_field].nunique()),
            "items": int(frame[self.iid_field].nunique()),
            "interactions": len(frame),
            "alone": int((np.bincount(frame[self.uid_field]) == 1).sum()),
        }
        self._put_in_order()

    def _put_in_order(self) -> None:
        """Sort by exact time, before `normalize_all` and tensors round it to float32.

        RecBole's later sorts are stable. If each user is split separately, only the order within a
        user changes.
        """
        if not self.is_by_time or self.benchmark_filename_list is not None:
            return
        frame, time = self.inter_feat, self.inter_feat[self.time_field].to_numpy()
        if self._splits_all_at_once:
            order = np.argsort(time, kind="stable")
        else:
            users = frame[self.uid_field].to_numpy()
            order = np.empty(len(frame), dtype=np.int64)
            order[np.argsort(users, kind="stable")] = np.lexsort((time, users))
        if not (order[1:] > order[:-1]).all():
            self.inter_feat = frame.iloc[order].reset_index(drop=True)

    @property
    def _splits_all_at_once(self) -> bool:
        """Whether the split cuts the interactions of all users at one position or time."""
        args = self.config["eval_args"]
        is_of_users = str(args["group_by"]).lower() == "user"
        return "TS" in args["split"] or ("RS" in args["split"] and not is_of_users)

    def _dataframe_to_interaction(self, data: pd.DataFrame) -> Interaction:
        time = self.time_field
        if time not in data or not pd.api.types.is_numeric_dtype(data[time]):
            return super()._dataframe_to_interaction(data)
        exact = data[time].to_numpy(np.float64)
        interaction = super()._dataframe_to_interaction(data.assign(**{time: exact}))
        if self.is_by_time and self._splits_all_at_once:
            # Sorted and split as float64; converted by `in_single_precision` afterwards.
            interaction.interaction[time] = torch.from_numpy(exact.copy())
        return interaction

    def leave_one_out(self, group_by: str, leave_one_mode: str) -> list[Any]:
        """RecBole's split, vectorised: the last but one and the last interaction of each user."""
        if leave_one_mode != "valid_and_test":  # refused by the configuration
            return super().leave_one_out(group_by, leave_one_mode)
        codes = pd.factorize(self.inter_feat[group_by].numpy())[0]
        order = np.argsort(codes, kind="stable")
        count = np.bincount(codes)
        from_end = np.repeat(np.cumsum(count), count) - 1 - np.arange(len(order))
        count = np.repeat(count, count)
        valid, test = (from_end == 1) & (count > 2), (from_end == 0) & (count > 1)
        self._drop_unused_col()
        return [
            self.copy(taken(self.inter_feat, torch.from_numpy(order[part])))
            for part in (~(valid | test), valid, test)
        ]

    def build(self) -> list[Any]:
        """RecBole's splits, cut at exact times."""
        return self.in_single_precision(super().build())

    def in_single_precision(self, parts: list[Any]) -> list[Any]:
        """The same splits, with times in the precision that models read."""
        for part in (self, *parts):
            columns = part.inter_feat.interaction
            for name, values in columns.items():
                if values.dtype == torch.float64:
                    columns[name] = values.float()
        return parts


class CheckedSequentialDataset(CheckedDataset, SequentialDataset):
    """RecBole's padded rows (`fast_sequences: False`) from checked files."""


def taken(rows: Interaction, index: torch.Tensor) -> Interaction:
    """The rows at `index` (B,); RecBole's own indexing makes a Python list of it."""
    return Interaction({name: values[index] for name, values in rows.interaction.items()})


def needs_times(config: Any) -> bool:
    """Whether a run of this configuration orders or splits by time."""
    args = config["eval_args"]
    return not config["benchmark_filename"] and (args["order"] == "TO" or "TS" in args["split"])
