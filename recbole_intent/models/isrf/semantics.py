"""Text vectors of items and users, as selected by ISRF's properties."""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from recbole_intent.data.formats.text_vectors import (
    Kind,
    Semantics,
    Text,
    TextVectors,
    pca,
    read_text_vectors,
    vectors_for,
)
from recbole_intent.data.loading.text_files import read_user_texts, text_file
from recbole_intent.models.generative.interests import RandomItems
from recbole_intent.models.generative.t5 import t5_files
from recbole_intent.models.isrf.interests import FrozenItems, ItemAdapter
from recbole_intent.models.isrf.options import aligned_tasks
from recbole_intent.nn.like_minded import like_minded
from recbole_intent.utils.errors import UserError

_LOGGER = logging.getLogger("recbole_intent")


def item_vector_file(config: Any) -> Path | None:
    """The file of the item vectors; None with `semantics: random`.

    Raises:
        UserError: an invalid value of a property, or the file does not exist.
    """
    return _file(config, "item", config["semantics"], config["item_text"])


def user_vector_file(config: Any) -> Path | None:
    """The file of the user vectors; None if nothing is aligned, as only alignment needs them.

    Raises:
        UserError: as `item_vector_file`.
    """
    if not aligned_tasks(config):
        return None
    semantics = config["user_semantics"]
    if semantics == "auto":
        semantics = config["semantics"]
    path = _file(config, "user", semantics, config["user_text"])
    if path is None:
        raise UserError(
            "user_semantics: there are no texts to find users alike by: give "
            "--user_semantics=metadata or llm, or --align_weight=0"
        )
    return path


def input_files(config: Any) -> list[Path]:
    """The vectors of texts that a run reads, and a pretrained T5 given by its path."""
    vectors = (item_vector_file(config), user_vector_file(config))
    return [*filter(None, vectors), *t5_files(config)]


def _file(
    config: Any, kind: Kind, semantics: Semantics | Literal["random"], text: Text
) -> Path | None:
    if semantics == "random":
        return None
    if semantics == "metadata" and text != "fused":
        raise UserError(f"{kind}_text: {text}: only an LLM writes it; metadata has fused alone")
    is_of_users = kind == "user" and config["user_semantics"] != "auto"
    return text_file(
        config,
        kind,
        semantics,
        text,
        purpose="ISRF",
        key="user_semantics" if is_of_users else "semantics",
        without="--semantics=random with --align_weight=0",
    )


def item_vectors(config: Any, dataset: Any) -> np.ndarray | None:
    """z (V, D) of the items' texts, row 0 zero; None with `semantics: random`.

    They contain no interactions, so they fit every split.

    Raises:
        UserError: they are missing, or do not cover all items.
    """
    path = item_vector_file(config)
    if path is None:
        return None
    ids = dataset.field2id_token[dataset.iid_field]
    return vectors_for(read_text_vectors(path), ids)


def read_user_vectors(config: Any, dataset: Any) -> TextVectors:
    """The vectors of the users' texts, made from this run's training interactions.

    Args:
        config: configuration of the run.
        dataset: its training split.

    Raises:
        UserError: they are missing, or were made from another split.
    """
    path = user_vector_file(config)
    if path is None:
        raise ValueError("without alignment, no vectors of users are read")
    return read_user_texts(config, dataset, path, config["user_text"], purpose="ISRF")


def reduced(z: np.ndarray, size: int) -> Tensor:
    """x (V, d'), frozen: the first d' principal components of z, row 0 zero.

    A common factor gives them unit variance, the scale that an adapter expects.

    Args:
        z: (V, D), row 0 padding.
        size: d'; beyond min(V - 1, D), columns are zero.

    Source: ISRF, equation (2).
    """
    projected = pca(z[1:], min(size, *z[1:].shape))
    x = np.zeros((len(z), size), dtype=np.float32)
    x[1:, : projected.shape[1]] = projected / max(projected.std(), np.finfo(np.float32).tiny)
    return torch.from_numpy(x)


def item_part(config: Any, z: np.ndarray | None, n_items: int, width: int) -> nn.Module:
    """Build the module that provides the item vectors e_v (V, d) of the graph.

    Args:
        config: `semantic_size`, `use_adapter`, `adapter_activation`, `sigma`.
        z: (V, D) from `item_vectors`.
        n_items: V, padding included.
        width: d.
    """
    if z is None:
        return RandomItems(n_items, width, config["sigma"])
    if not config["use_adapter"]:
        return FrozenItems(reduced(z, width))
    size = min(config["semantic_size"], *z[1:].shape)
    return ItemAdapter(reduced(z, size), width, config["adapter_activation"])


def users_alike(config: Any, dataset: Any) -> Tensor:
    """(U, k) int64: the `n_similar_users` users with the nearest texts; -1 for padding.

    Raises:
        UserError: user vectors are missing, incomplete or from another split; or faiss is
            requested but not installed.
    """
    ids = dataset.field2id_token[dataset.uid_field]
    z = vectors_for(read_user_vectors(config, dataset), ids)
    _LOGGER.info("users alike: %d of each of %d", config["n_similar_users"], len(ids) - 1)
    similar = like_minded(z[1:], config["n_similar_users"], index=config["similar_users_index"])
    alike = np.full((len(ids), similar.shape[1]), -1)
    alike[1:] = np.where(similar < 0, -1, similar + 1)
    return torch.from_numpy(alike)
