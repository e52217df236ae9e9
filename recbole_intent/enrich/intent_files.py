"""The files of intents beside a dataset's atomic files: what `enrich` writes and VELI4SBR reads.

    <name>.intent                {"session", "intents", "hard_negatives", "attempts", "passed"}
    <name>.intent_pool           {"intent", "sessions"}
    <name>.item_feature          {"item", "features"}
    <name>.intent.manifest.json  where they come from: source, prompts, parameters, counts

The first three are JSON lines, UTF-8.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.enrich.record_files import read_records, write_records
from recbole_intent.errors import UserError

INTENT, POOL, FEATURE = ".intent", ".intent_pool", ".item_feature"
MANIFEST = ".intent.manifest.json"


@dataclass(frozen=True)
class SessionIntents:
    """What was found for one training session.

    Attributes:
        session: its id, as `user_id` in the .inter file.
        intents: members of the pool; none where `passed` is False.
        hard_negatives: ids of items that were predicted wrongly, each once, the first one first.
        attempts: how often the model was asked, >= 1; 0 where nothing was asked (metadata).
        passed: the intents led to the session's last item.
    """

    session: str
    intents: tuple[str, ...]
    hard_negatives: tuple[str, ...]
    attempts: int
    passed: bool


@dataclass(frozen=True)
class PoolIntent:
    """An intent of the pool, and how many sessions have it."""

    intent: str
    sessions: int


@dataclass(frozen=True)
class ItemFeatures:
    """Short facts about an item."""

    item: str
    features: tuple[str, ...]


def intent_path(folder: str | Path, dataset: str, suffix: str) -> Path:
    """Where one of the files lies: `folder/<dataset><suffix>`."""
    return Path(folder) / f"{dataset}{suffix}"


def read_intents(path: str | Path) -> Iterator[SessionIntents]:
    """The lines of an .intent file, one after another.

    Raises:
        UserError: absent, or a line that is not of this form (named).
    """
    return read_records(path, SessionIntents)


def read_pool(path: str | Path) -> list[PoolIntent]:
    """The pool of an .intent_pool file, in the order in which intents entered it.

    Raises:
        UserError: absent, a line that is not of this form, or an intent that stands twice.
    """
    pool = list(read_records(path, PoolIntent))
    seen: set[str] = set()
    for number, entry in enumerate(pool, start=1):
        if entry.intent in seen:
            raise UserError(f"{path}:{number}: intent {entry.intent!r} stands twice")
        seen.add(entry.intent)
    return pool


def read_features(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Item id -> its features, of an .item_feature file.

    Raises:
        UserError: absent, or a line that is not of this form.
    """
    return {entry.item: entry.features for entry in read_records(path, ItemFeatures)}


def write_intent_files(
    folder: str | Path,
    dataset: str,
    *,
    intents: Iterable[SessionIntents],
    pool: Iterable[PoolIntent],
    features: Iterable[ItemFeatures],
    manifest: Callable[[], Mapping[str, Any]],
) -> None:
    """Write all four files: each whole or not at all, the manifest last.

    An old manifest goes first, so that a manifest tells that the other three belong to it.

    Args:
        folder: of the dataset.
        dataset: its name.
        intents: one line a training session that was asked or has intents of metadata; may be
            read as it is written.
        pool: in the order in which intents entered it; read after `intents`.
        features: one line an item; read after `pool`.
        manifest: gives plain values; called when the others are written.

    Raises:
        UserError: the disk is full or the folder cannot be written; old files then stay.
    """
    records = {INTENT: intents, POOL: pool, FEATURE: features}
    write_records(
        {intent_path(folder, dataset, suffix): lines for suffix, lines in records.items()},
        intent_path(folder, dataset, MANIFEST),
        manifest,
    )
