"""Training interactions of a configuration, defined once for runs and for `enrich`.

`split.read_parts` splits a dataset; here its training split becomes one history per user, with a
fingerprint. Files that `enrich` makes from training interactions carry this fingerprint, and a run
rejects files made from other training interactions than its own.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from recbole.data.dataset import Dataset, SequentialDataset

from recbole_intent.config.config import Config
from recbole_intent.config.keys import SPLIT_KEYS
from recbole_intent.data.loading.sequences import TARGET_FIELD, IndexedSequentialDataset
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint

_NOT_OF_SPLIT = ("mode",)  # of eval_args: only affects the ranking of a split
_ALWAYS_SAID = ("eval_args", "session_split", "benchmark_filename")


@dataclass(frozen=True)
class Split:
    """The identity of the split that a file was made from.

    Attributes:
        definition: key -> value of a configuration: how the data are split, and every other key of
            `SPLIT_KEYS` that differs from the dataset's default.
        fingerprint: SHA-256 of the training interactions.
    """

    definition: Mapping[str, Any]
    fingerprint: str

    def __str__(self) -> str:
        return f"{_flow(dict(self.definition))} ({self.fingerprint[:10]})"

    def plain(self) -> dict[str, Any]:
        """Plain values, for a manifest or a result."""
        return {"definition": dict(self.definition), "fingerprint": self.fingerprint}

    @classmethod
    def of_plain(cls, values: Any) -> "Split | None":
        """The inverse of `plain`; None for invalid values."""
        if not isinstance(values, Mapping):
            return None
        definition, digest = values.get("definition"), values.get("fingerprint")
        if not isinstance(definition, Mapping) or not isinstance(digest, str):
            return None
        return cls(definition, digest)

    @classmethod
    def of_text(cls, text: str) -> "Split | None":
        """Parse JSON of `plain`; None for an invalid text."""
        try:
            return cls.of_plain(json.loads(text))
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class TrainingHistories:
    """Training interactions, grouped by user (or session).

    Attributes:
        ids: (S,) ids of the users, strings, in the order of their first interactions in the data.
        items: (N,) codes of their training items, in the order of time; may be empty.
        first: (S + 1,) start of each user in `items`; the last entry is N.
        item_ids: (V,) id of each code: only training items, in order of appearance in `items`.
    """

    ids: np.ndarray
    items: np.ndarray
    first: np.ndarray
    item_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, index: int) -> np.ndarray:
        """Item codes of a user, oldest first."""
        return self.items[self.first[index] : self.first[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """(S,) number of training items of each user."""
        return np.diff(self.first)

    def at_least(self, length: int) -> "TrainingHistories":
        """The histories of users with at least `length` training items."""
        kept = self.lengths >= length
        items = self.items[np.repeat(kept, self.lengths)]
        codes, seen = pd.factorize(items)
        first = np.r_[0, np.cumsum(self.lengths[kept])]
        return TrainingHistories(self.ids[kept], codes.astype(np.int32), first, self.item_ids[seen])

    def fingerprint(self) -> str:
        """SHA-256 of users and their items in order; users without training items do not count."""
        owners = np.flatnonzero(self.lengths)
        owners = owners[np.argsort(self.ids[owners].astype(str))]
        digest = hashlib.sha256()
        for index in owners.tolist():
            names = [self.ids[index], *self.item_ids[self.of(index)]]
            digest.update(json.dumps([str(name) for name in names]).encode() + b"\n")
        return digest.hexdigest()


def training_histories(config: Config, train: Dataset) -> TrainingHistories:
    """The training interactions of a run: all inputs and targets of its training samples.

    Args:
        config: configuration of the run.
        train: its training split, with or without noise, which does not affect the result.
    """
    users, items = _rows(config, train)
    lengths = np.bincount(users, minlength=train.user_num)[1:]  # 0 is padding
    codes, seen = pd.factorize(items)
    return TrainingHistories(
        np.asarray(train.field2id_token[train.uid_field][1:], dtype=object),
        codes.astype(np.int32),
        np.r_[0, np.cumsum(lengths)],
        np.asarray(train.field2id_token[train.iid_field], dtype=object)[seen],
    )


def training_split(config: Config, train: Dataset) -> Split:
    """The split of a run.

    Args:
        config: configuration of the run.
        train: its training split.
    """
    return Split(definition(config), training_histories(config, train).fingerprint())


def _rows(config: Config, train: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Users (N,), ascending, and items (N,), in the order of time, as the dataset's numbers."""
    rows = train.inter_feat
    users, items = (rows[name].numpy() for name in (train.uid_field, train.iid_field))
    is_of_samples = getattr(train, "holds_rows", False)  # files of samples, which overlap
    if is_of_samples and isinstance(train, IndexedSequentialDataset):
        rows = train.rows(np.arange(len(users)))
    elif isinstance(train, IndexedSequentialDataset):
        last = np.full(train.user_num, -1)
        np.maximum.at(last, users, rows[TARGET_FIELD].numpy())
        owner = train.clean_users.numpy()
        known = np.arange(len(owner)) <= last[owner]
        return owner[known], train.clean_items.numpy()[known]
    if not isinstance(train, SequentialDataset):
        order = np.argsort(users, kind="stable")
        return users[order], items[order]
    lists = rows[f"{train.iid_field}{config['LIST_SUFFIX']}"].numpy()
    if not is_of_samples:
        # Every prefix is a row: take its target, and for the first one also the preceding item.
        order = np.argsort(users, kind="stable")
        users, items, lists = users[order], items[order], lists[order]
        first = np.flatnonzero(np.r_[True, users[1:] != users[:-1]][: len(users)])
        return np.insert(users, first, users[first]), np.insert(items, first, lists[first, 0])
    return _joined(users, lists, (lists > 0).sum(axis=1), items)


def _joined(
    users: np.ndarray, lists: np.ndarray, lengths: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Users and items of externally made rows; overlapping parts of rows count once."""
    histories: dict[int, list[int]] = {}
    for row in np.lexsort((lengths, users)).tolist():
        before, target = lists[row, : lengths[row]].tolist(), int(targets[row])
        known = histories.setdefault(int(users[row]), [])
        if before[: len(known)] == known:  # it begins with all rows so far
            known[:] = [*before, target]
        elif known[-len(before) :] == before:  # it continues where they end
            known.append(target)
        elif known[: len(before) + 1] != [*before, target]:
            known += [*before, target]
    owners = np.repeat(list(histories), [len(items) for items in histories.values()])
    return owners, np.array([item for items in histories.values() for item in items])


def definition(config: Config) -> dict[str, Any]:
    """The split settings of a configuration; see `Split`."""
    values, usual = _values(config), _values(_default(config))
    said = {k: v for k, v in values.items() if v != usual[k] or (k in _ALWAYS_SAID and v)}
    return {"eval_args": values["eval_args"], **said}


def split_options(config: Config) -> dict[str, Any]:
    """The keys of `SPLIT_KEYS` whose values differ from the dataset's defaults."""
    values, usual = _values(config), _values(_default(config))
    given = {key: value for key, value in values.items() if value != usual[key]}
    if "eval_args" in given:
        parts = values["eval_args"]
        given["eval_args"] = {k: v for k, v in parts.items() if v != usual["eval_args"].get(k)}
    return given


def _values(config: Config) -> dict[str, Any]:
    plain = config.plain()
    values = {key: plain.get(key) for key in SPLIT_KEYS}
    parts = plain["eval_args"].items()
    values["eval_args"] = {key: part for key, part in parts if key not in _NOT_OF_SPLIT}
    return values


def _default(config: Config) -> Config:
    plain = config.plain()
    root = {"data_path": plain["data_path"]}
    return Config(plain["model"], plain["dataset"], config_dict=root, allow_unknown=True)


def enriched_folder(config: Config) -> Path:
    """The folder where `enrich` puts files made from a configuration's training interactions.

    It is the dataset's own folder, or a subfolder for a split other than the dataset's default, so
    that files of two splits do not replace each other.
    """
    folder, given = Path(config["data_path"]), split_options(config)
    return folder / f"split-{fingerprint(given)[:10]}" if given else folder


def find_enriched(config: Config, names: list[str]) -> Path:
    """The folder from which a run reads enriched files.

    Args:
        config: configuration of the run.
        names: names of the files that it needs.

    Returns:
        `enriched_folder`, or the dataset's own folder if the former lacks a file and the latter
        has all of them: the split is checked in the files.
    """
    own, base = enriched_folder(config), Path(config["data_path"])
    has_own = all((own / name).is_file() for name in names)
    has_base = all((base / name).is_file() for name in names)
    return base if has_base and not has_own else own


def enrich_command(config: Config, purpose: str, *words: str) -> str:
    """The command that makes enriched files for a run, in backquotes.

    Args:
        config: configuration of the run.
        purpose: purpose of the files.
        words: further options, such as `--semantics=metadata`.
    """
    plain = config.plain()
    given = [f"--{key}={_flow(value)}" for key, value in split_options(config).items()]
    root = plain["data_path"]
    if Path(root) != Path("dataset"):
        given.append(f"--data_path={root}")
    command = ["recbole_intent", "enrich", f"--for={purpose}", f"--dataset={plain['dataset']}"]
    return f"`{' '.join([*command, *map(shlex.quote, [*words, *given])])}`"


def check_split(path: Path, theirs: Split | None, mine: Split, remedy: str) -> None:
    """Raise UserError if a file was not made from a run's own training interactions.

    Args:
        path: path of the file.
        theirs: the split named in the file; None if it names none.
        mine: the split of the run.
        remedy: remedy named in the error.
    """
    if theirs is None:
        raise UserError(f"{path}: does not say which split it was made from; {remedy}")
    if theirs.fingerprint != mine.fingerprint:
        raise UserError(
            f"{path}: was made from the training interactions of {theirs}, and this run trains on "
            f"those of {mine}; {remedy}"
        )


def _flow(value: Any) -> str:
    """A value as one-line YAML, as accepted by the command line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
