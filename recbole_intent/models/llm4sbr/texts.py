"""Text vectors of LLM4SBR: of items, and of the intents of training sessions."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recbole_intent.data.formats.intent_files import VECTORS
from recbole_intent.data.formats.item_vectors import read_item_vectors
from recbole_intent.data.formats.text_vectors import read_text_vectors, vector_path, vectors_for
from recbole_intent.data.loading.session_intents import (
    intent_files,
    read_training_intents,
    unknown_name,
)
from recbole_intent.data.loading.training_interactions import enrich_command, find_enriched
from recbole_intent.utils.errors import UserError

_PURPOSE = "LLM4SBR"
TRAIN, ALL = "train", "all"  # values of `session_texts`


def input_files(config: Any) -> list[Path]:
    """The vectors of items, and with `session_texts: train` the intents, their pool and vectors.

    Raises:
        UserError: one of them does not exist.
    """
    if config["session_texts"] == TRAIN and not config["text_weight"]:
        return []
    files = [Path(config["item_vectors"])]
    if config["item_vectors"] == "auto":
        name = vector_path("", config["dataset"], "item", "metadata", "fused").name
        files = [find_enriched(config, [name]) / name]
    if config["session_texts"] == TRAIN:
        intents, pool = intent_files(config, _PURPOSE)
        files += [intents.with_suffix(VECTORS), intents, pool]
    for path in files:
        if not path.is_file():
            raise UserError(
                f"{path}: no such file of text vectors; "
                f"{enrich_command(config, _PURPOSE, '--encoder=embedded')}, with the options of "
                "the intents, makes it"
            )
    return files


def item_texts(config: Any, dataset: Any) -> Tensor:
    """z (V, D) float32, of length 1; zero for padding, and for items without a vector."""
    vectors = read_item_vectors(input_files(config)[0], dataset.field2id_token[dataset.iid_field])
    return F.normalize(torch.from_numpy(vectors), dim=1)


class SessionIntents(nn.Module):
    """The intents of training sessions, as text vectors: two views of each session.

    The long-term view is the mean of the session's intents. The short-term view is the one that
    is nearest to the session's latest item, by the cosine of their texts.

    Args:
        vectors: (C, D) of the pool's intents, of length 1.
        intents: (U, m) numbers of each session's intents; -1 for none, after the others.
    """

    vectors: Tensor
    of_session: Tensor

    def __init__(self, vectors: Tensor, intents: Tensor) -> None:
        super().__init__()
        self.register_buffer("vectors", vectors, persistent=False)
        self.register_buffer("of_session", intents, persistent=False)

    def forward(self, session: Tensor, latest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Both views (B, D) of sessions (B,) and whether they have any intents (B,).

        Args:
            session: (B,) their numbers.
            latest: (B, D) text vectors of their latest items.
        """
        number = self.of_session[session]  # (B, m)
        is_real = number >= 0
        each = self.vectors[number.clamp_min(0)] * is_real[..., None]  # (B, m, D)
        long = F.normalize(each.sum(dim=1), dim=1)
        cosine = (each @ latest[..., None]).squeeze(-1).masked_fill(~is_real, float("-inf"))
        short = each[torch.arange(len(each), device=each.device), cosine.argmax(dim=1)]
        return long, short, is_real[:, 0]


def session_intents(config: Any, dataset: Any, width: int) -> tuple[list[str], SessionIntents]:
    """The pool in words, and the intents of the sessions of a training split.

    Args:
        config: configuration of the run.
        dataset: its training split.
        width: D of the items' text vectors.

    Raises:
        UserError: a file is missing, malformed, of another split, or of another encoder.
    """
    training = read_training_intents(config, dataset, _PURPOSE)
    path = training.path.with_suffix(VECTORS)
    kept = read_text_vectors(path)
    if kept.vectors.shape[1] != width:
        raise UserError(
            f"{path}: its vectors have {kept.vectors.shape[1]} numbers, those of items {width}; "
            f"{enrich_command(config, _PURPOSE, '--encoder=embedded')} makes both"
        )
    vectors = F.normalize(torch.from_numpy(vectors_for(kept, training.pool)), dim=1)
    number = {intent: c for c, intent in enumerate(training.pool)}
    most = max(1, *(len(entry.intents) for _, _, entry in training.entries))
    intents = np.full((len(dataset.field2id_token[dataset.uid_field]), most), -1)
    for line, row, entry in training.entries:
        try:
            numbers = [number[intent] for intent in entry.intents]
        except KeyError as error:
            raise unknown_name(training, line, error.args[0], config["dataset"]) from error
        intents[training.user[row], : len(numbers)] = numbers
    return training.pool, SessionIntents(vectors, torch.from_numpy(intents))
