"""Intent files next to a dataset's atomic files, written by `enrich` and read by VELI4SBR.

    <name>.intent                {"session", "intents", "hard_negatives", "attempts", "passed"}
    <name>.intent_pool           {"intent", "sessions"}
    <name>.item_feature          {"item", "features"}
    <name>.intent.manifest.json  where they come from: source, prompts, parameters, counts
    <name>.intent_vectors.npz    vectors of the pool's intents (`text_vectors`), with an encoder

The first three are JSON lines, UTF-8.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_intent.data.formats.record_files import read_records, write_records
from recbole_intent.utils.errors import UserError

INTENT, POOL, FEATURE = ".intent", ".intent_pool", ".item_feature"
MANIFEST, VECTORS = ".intent.manifest.json", ".intent_vectors.npz"


@dataclass(frozen=True)
class SessionIntents:
    """The intents of one training session.

    Attributes:
        session: id of the session, as `user_id` in the .inter file.
        intents: intents from the pool; empty if `passed` is False.
        hard_negatives: distinct ids of wrongly predicted items, in the order of prediction.
        attempts: number of requests to the model, >= 1; 0 without a model (metadata).
        passed: whether the intents led to the session's last item.
    """

    session: str
    intents: tuple[str, ...]
    hard_negatives: tuple[str, ...]
    attempts: int
    passed: bool


@dataclass(frozen=True)
class PoolIntent:
    """An intent of the pool and the number of sessions that have it."""

    intent: str
    sessions: int


@dataclass(frozen=True)
class ItemFeatures:
    """Short facts about an item."""

    item: str
    features: tuple[str, ...]


def intent_path(folder: str | Path, dataset: str, suffix: str) -> Path:
    """The path of one of the files: `folder/<dataset><suffix>`."""
    return Path(folder) / f"{dataset}{suffix}"


def read_intents(path: str | Path) -> Iterator[SessionIntents]:
    """Iterate over the lines of an .intent file.

    Raises:
        UserError: a missing file or a malformed line (named).
    """
    return read_records(path, SessionIntents)


def read_pool(path: str | Path) -> list[PoolIntent]:
    """Read the pool of an .intent_pool file, in the order in which intents entered it.

    Raises:
        UserError: a missing file, a malformed line, or a duplicate intent.
    """
    pool = list(read_records(path, PoolIntent))
    seen: set[str] = set()
    for number, entry in enumerate(pool, start=1):
        if entry.intent in seen:
            raise UserError(f"{path}:{number}: intent {entry.intent!r} stands twice")
        seen.add(entry.intent)
    return pool


def read_features(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Read an .item_feature file as item id -> features.

    Raises:
        UserError: a missing file or a malformed line.
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
    """Write all four files atomically, the manifest last.

    An old manifest is removed first, so that a manifest always belongs to the other three files.

    Args:
        folder: folder of the dataset.
        dataset: name of the dataset.
        intents: one entry per training session that was sent to the model or has metadata
            intents; may be a lazy iterable.
        pool: in the order in which intents entered it; consumed after `intents`.
        features: one entry per item; consumed after `pool`.
        manifest: returns plain values; called after the other files are written.

    Raises:
        UserError: the disk is full or the folder is not writable; old files are kept.
    """
    records = {INTENT: intents, POOL: pool, FEATURE: features}
    write_records(
        {intent_path(folder, dataset, suffix): lines for suffix, lines in records.items()},
        intent_path(folder, dataset, MANIFEST),
        manifest,
    )
