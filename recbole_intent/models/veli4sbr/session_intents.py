"""Reads the intent files of `enrich` as labels of a dataset's training sessions."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recbole_intent.data.formats.intent_files import INTENT, MANIFEST, POOL, read_intents, read_pool
from recbole_intent.data.formats.item_vectors import item_vectors_file
from recbole_intent.data.formats.record_files import check_records, read_manifest
from recbole_intent.data.loading.training_interactions import (
    Split,
    check_split,
    enrich_command,
    find_enriched,
    training_split,
)
from recbole_intent.models.veli4sbr.intent_controls import keep_share, shuffled
from recbole_intent.models.veli4sbr.session_labels import SessionLabels
from recbole_intent.utils.errors import UserError

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
    path = Path(config["intents"])
    if config["intents"] == "auto":
        names = [f"{config['dataset']}{suffix}" for suffix in (INTENT, POOL)]
        path = find_enriched(config, names) / names[0]
    files = path, path.with_suffix(POOL)
    for file in files:
        if not file.is_file():
            raise UserError(
                f"{file}: no such file, but intents: {config['intents']} wants it; "
                f"{enrich_command(config, 'VELI4SBR')} makes it, "
                "--intents=none trains the backbone alone"
            )
    check_records(path, path.with_suffix(MANIFEST))
    return files


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
    files = intent_files(config)
    if files is None:
        return None
    path, pool_path = files
    _check_split(config, dataset, path)
    pool = [entry.intent for entry in read_pool(pool_path)]
    if not pool:
        raise UserError(f"{pool_path}: has no intents; run `enrich` again")
    number = {intent: c for c, intent in enumerate(pool)}
    uid, iid = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
    user = torch.from_numpy(np.unique(dataset.inter_feat[uid].numpy()))
    names = dataset.field2id_token[uid]
    row_of = {names[u]: row for row, u in enumerate(user.tolist())}
    item_of = {name: i for i, name in enumerate(dataset.field2id_token[iid])}
    intents: list[tuple[int, ...]] = [()] * len(user)
    hard: list[tuple[int, ...]] = [()] * len(user)
    n_found = n_metadata = 0
    for line, entry in enumerate(read_intents(path), start=1):
        row = row_of.get(entry.session)
        if row is None:
            continue
        n_found += 1
        n_metadata += bool(entry.intents) and not entry.attempts  # no language model was called
        try:
            intents[row] = tuple(number[intent] for intent in entry.intents)
            if config["hard_negatives"]:
                hard[row] = tuple(item_of[item] for item in entry.hard_negatives)
        except KeyError as error:
            raise UserError(
                f"{path}:{line}: {error.args[0]!r} is neither in {pool_path.name} nor an item of "
                f"{config['dataset']}; run `enrich` again"
            ) from error
    if not n_found:
        raise UserError(
            f"{path}: names no training session of {config['dataset']}; run `enrich` again"
        )
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


def _check_split(config: Any, dataset: Any, path: Path) -> None:
    """Raise UserError unless the intents come from this run's own training interactions."""
    manifest = path.with_suffix(MANIFEST)
    values = read_manifest(manifest)
    mine, theirs = training_split(config, dataset), Split.of_plain(values.get("split"))
    words = ["--intents=metadata"] if values.get("source") == "metadata" else ["--llm.model=MODEL"]
    remedy = ""
    if config["intents"] != "auto":
        folder = path.parent
        if theirs is not None and theirs.definition != mine.definition:
            folder = folder.with_name(f"{folder.name}-{mine.fingerprint[:10]}")
            remedy = f", and --intents={folder / path.name} reads them"
        words.append(f"--output={folder}")
    remedy = f"{enrich_command(config, 'VELI4SBR', *words)} makes those of this run{remedy}"
    check_split(manifest, theirs, mine, remedy)
