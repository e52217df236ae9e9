"""Text vectors of the users and items of RLMRec's graph."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_intent.data.formats.text_vectors import Kind, read_text_vectors, vectors_for
from recbole_intent.data.loading.text_files import read_user_texts, text_file
from recbole_intent.utils.errors import UserError

_PURPOSE = "RLMRec"


def input_files(config: Any) -> list[Path]:
    """The vectors of items and of users; none without their alignment."""
    kinds: tuple[Kind, ...] = ("item", "user") if config["text_weight"] else ()
    return [text_file(config, kind, config["semantics"], purpose=_PURPOSE) for kind in kinds]


def node_texts(config: Any, dataset: Any) -> Tensor:
    """z (U + V, D) float32, users first; zero for padding and users without training items.

    Raises:
        UserError: a file is missing, lacks an item or a training user, or belongs to another
            split, or users and items have vectors of different encoders.
    """
    of_items, of_users = input_files(config)
    item_vectors = read_text_vectors(of_items)
    user_vectors = read_user_texts(config, dataset, of_users, purpose=_PURPOSE)
    if item_vectors.encoder != user_vectors.encoder:
        raise UserError(
            f"{of_users}: its vectors are of {user_vectors.encoder}, those of {of_items.name} of "
            f"{item_vectors.encoder}; `recbole_intent enrich --for={_PURPOSE}` makes both"
        )
    items = vectors_for(item_vectors, dataset.field2id_token[dataset.iid_field])
    tokens = dataset.field2id_token[dataset.uid_field]
    users = np.zeros((len(tokens), items.shape[1]), dtype=np.float32)
    known = np.unique(dataset.inter_feat[dataset.uid_field].numpy())
    users[known] = vectors_for(user_vectors, tokens[known])
    return torch.from_numpy(np.concatenate([users, items]))
