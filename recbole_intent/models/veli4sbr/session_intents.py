"""Reads the intent files of `enrich` as labels of a dataset's training sessions."""

import logging
from pathlib import Path
from typing import Any

import torch

from recbole_intent.data.formats.item_vectors import item_vectors_file
from recbole_intent.data.loading import session_intents
from recbole_intent.data.loading.session_intents import read_training_intents, unknown_name
from recbole_intent.models.veli4sbr.intent_controls import keep_share, shuffled
from recbole_intent.models.veli4sbr.session_labels import SessionLabels

_LOGGER = logging.getLogger("recbole_intent")


def input_files(config: Any) -> list[Path]:
    """The intents, their pool, and the item vectors, as far as a run reads them."""
    files = list(intent_files(config) or ())
    path = item_vectors_file(config)
    if path is not None and path.is_file():  # if it does not exist, the model raises
        files.append(path)
    return files


def intent_files(config: Any) -> tuple[Path, Path] | None:
    """The .intent file of a configuration and its pool; None with `intents: none`.

    Raises:
        UserError: one of them does not exist.
    """
    if config["intents"] == "none":
        return None
    without = "--intents=none trains the backbone alone"
    return session_intents.intent_files(config, "VELI4SBR", without)


def read_labels(config: Any, dataset: Any) -> tuple[list[str], SessionLabels] | None:
    """The pool in words, and labels and hard negatives of the sessions of a training split.

    Sessions missing from the file have no labels; lines of other sessions are ignored.

    Args:
        config: with `intents`, `intent_share`, `shuffle_intents`, `hard_negatives` and `seed`.
        dataset: the training split, with user and item ids.

    Returns:
        None with `intents: none`.

    Raises:
        UserError: a file is missing or malformed, belongs to other sessions or another split, or
            names an intent outside the pool or an item outside the dataset.
    """
    if intent_files(config) is None:
        return None
    given = read_training_intents(config, dataset, "VELI4SBR")
    pool, user = given.pool, torch.from_numpy(given.user)
    number = {intent: c for c, intent in enumerate(pool)}
    names = dataset.field2id_token[config["USER_ID_FIELD"]]
    item_of = {name: i for i, name in enumerate(dataset.field2id_token[config["ITEM_ID_FIELD"]])}
    intents: list[tuple[int, ...]] = [()] * len(user)
    hard: list[tuple[int, ...]] = [()] * len(user)
    n_metadata = 0
    for line, row, entry in given.entries:
        n_metadata += bool(entry.intents) and not entry.attempts  # no language model was called
        try:
            intents[row] = tuple(number[intent] for intent in entry.intents)
            if config["hard_negatives"]:
                hard[row] = tuple(item_of[item] for item in entry.hard_negatives)
        except KeyError as error:
            raise unknown_name(given, line, error.args[0], config["dataset"]) from error
    _LOGGER.info(
        "intents: %d in the pool; %d of %d training sessions have some (%d of them by metadata), "
        "%d have hard negatives",
        len(pool),
        sum(map(bool, intents)),
        len(user),
        n_metadata,
        sum(map(bool, hard)),
    )
    if config["intent_share"] < 1:
        intents = keep_share(intents, config["intent_share"], config["seed"])
        _LOGGER.info("intent_share: %d sessions keep theirs", sum(map(bool, intents)))
    if config["shuffle_intents"]:
        intents = shuffled(intents, config["seed"])
        _LOGGER.info("shuffle_intents: a control; every session has the intents of another one")
    n_users = len(names)
    return pool, SessionLabels(user, n_users, intents, len(pool), hard, n_metadata)
