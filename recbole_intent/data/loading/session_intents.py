"""The intents that `enrich` found in a run's training sessions."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recbole_intent.data.formats.intent_files import (
    INTENT,
    MANIFEST,
    POOL,
    SessionIntents,
    read_intents,
    read_pool,
)
from recbole_intent.data.formats.record_files import check_records, read_manifest
from recbole_intent.data.loading.training_interactions import (
    Split,
    check_split,
    enrich_command,
    find_enriched,
    training_split,
)
from recbole_intent.utils.errors import UserError


class TrainingIntents(NamedTuple):
    """The lines of an .intent file that belong to training sessions.

    Attributes:
        path: the file.
        pool: C intents.
        user: (S,) numbers of the training sessions, ascending.
        entries: (line of the file, row in `user`, entry) of the sessions that the file names.
    """

    path: Path
    pool: list[str]
    user: np.ndarray
    entries: list[tuple[int, int, SessionIntents]]


def intent_files(config: Any, purpose: str, without: str = "") -> tuple[Path, Path]:
    """The .intent file of a configuration and its pool.

    Args:
        config: with `intents`, auto or a path.
        purpose: the model, as in `enrich --for`.
        without: how to do without intents, for the message.

    Raises:
        UserError: one of them does not exist.
    """
    path = Path(config["intents"])
    if config["intents"] == "auto":
        names = [f"{config['dataset']}{suffix}" for suffix in (INTENT, POOL)]
        path = find_enriched(config, names) / names[0]
    files = path, path.with_suffix(POOL)
    for file in files:
        if not file.is_file():
            raise UserError(
                f"{file}: no such file, but intents: {config['intents']} wants it; "
                f"{enrich_command(config, purpose)} makes it" + (f", {without}" if without else "")
            )
    check_records(path, path.with_suffix(MANIFEST))
    return files


def read_training_intents(config: Any, dataset: Any, purpose: str) -> TrainingIntents:
    """The pool, and the intents of the sessions of a training split.

    Lines of other sessions are ignored.

    Args:
        config, purpose: as in `intent_files`.
        dataset: the training split, with user ids.

    Raises:
        UserError: a file is missing or malformed, or belongs to other sessions or another split.
    """
    path, pool_path = intent_files(config, purpose)
    _check_split(config, dataset, path, purpose)
    pool = [entry.intent for entry in read_pool(pool_path)]
    if not pool:
        raise UserError(f"{pool_path}: has no intents; run `enrich` again")
    uid = config["USER_ID_FIELD"]
    user = np.unique(dataset.inter_feat[uid].numpy())
    names = dataset.field2id_token[uid]
    row_of = {names[u]: row for row, u in enumerate(user.tolist())}
    entries = [
        (line, row_of[entry.session], entry)
        for line, entry in enumerate(read_intents(path), start=1)
        if entry.session in row_of
    ]
    if not entries:
        raise UserError(
            f"{path}: names no training session of {config['dataset']}; run `enrich` again"
        )
    return TrainingIntents(path, pool, user, entries)


def unknown_name(read: TrainingIntents, line: int, name: str, dataset: str) -> UserError:
    """The error of a line that names something unknown."""
    return UserError(
        f"{read.path}:{line}: {name!r} is neither in {read.path.with_suffix(POOL).name} nor an "
        f"item of {dataset}; run `enrich` again"
    )


def _check_split(config: Any, dataset: Any, path: Path, purpose: str) -> None:
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
    remedy = f"{enrich_command(config, purpose, *words)} makes those of this run{remedy}"
    check_split(manifest, theirs, mine, remedy)
