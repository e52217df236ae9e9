"""Splits a RecBole session dataset by the file that assigns each session to a split."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import SequentialDataset

from recbole_intent.data.formats.session_files import read_split
from recbole_intent.data.loading.checked_dataset import CheckedSequentialDataset, taken
from recbole_intent.data.prepare.sessions import PARTS
from recbole_intent.utils.errors import UserError


def split_path(config) -> Path:
    """The path of the dataset's split file."""
    return Path(config["data_path"]) / f"{config['dataset']}.split"


def split_by_session(dataset: SequentialDataset) -> list[SequentialDataset]:
    """Split by session: all samples of training sessions, the last of validation and test ones.

    Args:
        dataset: after its augmentation, its samples sorted by user and time.

    Returns:
        The three splits.

    Raises:
        UserError: a bad split file, or one that lacks a session of the dataset.
    """
    config = dataset.config
    path = split_path(config)
    of_session = read_split(path, config["field_separator"])
    ids = dataset.field2id_token[dataset.uid_field][1:]
    named = of_session.reindex(ids)
    if named.isna().any():
        lacking = named.index[named.isna()]
        raise UserError(
            f"{path}: lacks {len(lacking)} of {len(ids)} sessions of the .inter file, such as "
            f"{lacking[0]!r}; prepare both again"
        )
    part = np.r_[-1, pd.Categorical(named, categories=PARTS).codes]  # (U,), padding first
    users = dataset.inter_feat[dataset.uid_field].numpy()
    is_last = np.r_[users[1:] != users[:-1], True][: len(users)]
    of_sample = part[users]
    chosen = [of_sample == 0, is_last & (of_sample == 1), is_last & (of_sample == 2)]
    return [
        dataset.copy(taken(dataset.inter_feat, torch.from_numpy(np.flatnonzero(rows))))
        for rows in chosen
    ]


class PaddedSessionDataset(CheckedSequentialDataset):
    """RecBole's own padded rows (`fast_sequences: False`), split by session."""

    def build(self) -> list[SequentialDataset]:
        """The three splits; see `split_by_session`."""
        self._change_feat_format()
        return self.in_single_precision(split_by_session(self))

    def history_matrix(self):
        """Sparse user x item matrix of the items before the targets, as far as rows hold them."""
        items = self.inter_feat[f"{self.iid_field}{self.config['LIST_SUFFIX']}"]
        row, column = items.nonzero(as_tuple=True)
        return matrix_of(self, self.inter_feat[self.uid_field][row], items[row, column])


def warn_of_user_vectors(model: torch.nn.Module, dataset: SequentialDataset) -> None:
    """Warn if the model learns vectors of users, because evaluated sessions are new to it."""
    names = [
        name
        for name, parameter in model.named_parameters()
        if len(parameter.shape) and parameter.shape[0] == dataset.user_num != dataset.item_num
    ]
    if names:
        logging.getLogger("recbole_intent").warning(
            "session_split: %s has a row for each session; those of validation and test are never "
            "trained",
            ", ".join(names),
        )


def matrix_of(
    dataset: SequentialDataset, users: torch.Tensor, items: torch.Tensor, rows: int | None = None
):
    """Sparse (CSR) matrix, `rows` (all users if None) x items, of pairs, (P,) and (P,)."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(users), dtype=np.float32)
    pairs = (users.numpy(), items.numpy())
    n_rows = dataset.user_num if rows is None else rows
    return csr_matrix((ones, pairs), shape=(n_rows, dataset.item_num))
