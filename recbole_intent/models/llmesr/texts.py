"""Text vectors of LLM-ESR: those of all items, and the users with the most similar texts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_intent.data.formats.text_vectors import Kind, read_text_vectors, vectors_for
from recbole_intent.data.loading.text_files import read_user_texts, text_file
from recbole_intent.nn.like_minded import like_minded

_PURPOSE = "LLMESR"


def input_files(config: Any) -> list[Path]:
    """The vectors of items, and those of users if they are aligned."""
    kinds: tuple[Kind, ...] = ("item", "user") if config["align_weight"] else ("item",)
    return [text_file(config, kind, config["semantics"], purpose=_PURPOSE) for kind in kinds]


def item_texts(config: Any, dataset: Any) -> Tensor:
    """z (V, D) float32; row 0 is zero.

    Raises:
        UserError: the file is missing, or lacks an item.
    """
    path = text_file(config, "item", config["semantics"], purpose=_PURPOSE)
    ids = dataset.field2id_token[dataset.iid_field]
    return torch.from_numpy(vectors_for(read_text_vectors(path), ids))


def similar_users(config: Any, dataset: Any) -> Tensor:
    """(U, k) int64: the training users with the nearest texts; 0 for users without training items.

    Args:
        config: with `n_similar_users`, k; fewer if there are fewer users.
        dataset: the training split.

    Raises:
        UserError: the file is missing, lacks a training user, or belongs to another split.
    """
    path = text_file(config, "user", config["semantics"], purpose=_PURPOSE)
    vectors = read_user_texts(config, dataset, path, purpose=_PURPOSE)
    tokens = dataset.field2id_token[dataset.uid_field]
    users = np.unique(dataset.inter_feat[dataset.uid_field].numpy())
    nearest = like_minded(vectors_for(vectors, tokens[users]), config["n_similar_users"])
    similar = np.zeros((len(tokens), nearest.shape[1]), dtype=np.int64)
    similar[users] = users[nearest]
    return torch.from_numpy(similar)
