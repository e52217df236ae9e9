"""The files of intents beside a dataset's atomic files: what `enrich` writes and VELI4SBR reads.

    <name>.intent                {"session", "intents", "hard_negatives", "attempts", "passed"}
    <name>.intent_pool           {"intent", "sessions"}
    <name>.item_feature          {"item", "features"}
    <name>.intent.manifest.json  where they come from: source, prompts, parameters, counts

The first three are JSON lines, UTF-8.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from recbole_intent.errors import UserError
from recbole_intent.files import atomic_write

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


Record = TypeVar("Record", SessionIntents, PoolIntent, ItemFeatures)

_KINDS: dict[str, Callable[[Any], bool]] = {
    "session": lambda value: isinstance(value, str),
    "intent": lambda value: isinstance(value, str),
    "item": lambda value: isinstance(value, str),
    "intents": lambda value: _is_strings(value),
    "hard_negatives": lambda value: _is_strings(value),
    "features": lambda value: _is_strings(value),
    "attempts": lambda value: _is_count(value),
    "sessions": lambda value: _is_count(value),
    "passed": lambda value: isinstance(value, bool),
}


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def intent_path(folder: str | Path, dataset: str, suffix: str) -> Path:
    """Where one of the files lies: `folder/<dataset><suffix>`."""
    return Path(folder) / f"{dataset}{suffix}"


def read_intents(path: str | Path) -> Iterator[SessionIntents]:
    """The lines of an .intent file, one after another.

    Raises:
        UserError: absent, or a line that is not of this form (named).
    """
    return _read(path, SessionIntents)


def read_pool(path: str | Path) -> list[PoolIntent]:
    """The pool of an .intent_pool file, in the order in which intents entered it.

    Raises:
        UserError: absent, a line that is not of this form, or an intent that stands twice.
    """
    pool = list(_read(path, PoolIntent))
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
    return {entry.item: entry.features for entry in _read(path, ItemFeatures)}


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The contents of an .intent.manifest.json file.

    Raises:
        UserError: absent, or no JSON.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `enrich` writes it") from error
    except ValueError as error:
        raise UserError(f"{path}: no JSON ({error}); run `enrich` again") from error


def _read(path: str | Path, kind: type[Record]) -> Iterator[Record]:
    names = [field.name for field in fields(kind)]
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115 (closed by the with below)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `enrich` writes it") from error
    with file:
        lines = enumerate(file, start=1)
        while True:
            try:
                number, line = next(lines)
                values = json.loads(line)
            except StopIteration:
                return
            except UnicodeDecodeError as error:
                raise UserError(f"{path}: not UTF-8 (byte {error.start})") from error
            except ValueError as error:
                raise UserError(f"{path}:{number}: not a JSON line: {error}") from error
            if not isinstance(values, dict):
                raise UserError(f"{path}:{number}: expected an object with {', '.join(names)}")
            for name in names:
                if name not in values or not _KINDS[name](values[name]):
                    raise UserError(f"{path}:{number}: {name} is missing or of the wrong kind")
            plain = {name: values[name] for name in names}
            yield kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()})


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
        intents: one line a training session that was asked; may be read as it is written.
        pool: in the order in which intents entered it; read after `intents`.
        features: one line an item; read after `pool`.
        manifest: gives plain values; called when the others are written.

    Raises:
        UserError: the disk is full or the folder cannot be written; old files then stay.
    """
    seal = intent_path(folder, dataset, MANIFEST)
    with ExitStack() as renames:
        sealed = renames.enter_context(atomic_write(seal))  # entered first, renamed last
        for suffix, records in ((INTENT, intents), (POOL, pool), (FEATURE, features)):
            path = renames.enter_context(atomic_write(intent_path(folder, dataset, suffix)))
            with path.open("w", encoding="utf-8") as file:
                for record in records:
                    file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
        text = json.dumps(manifest(), indent=2, ensure_ascii=False, allow_nan=False)
        sealed.write_text(text + "\n", encoding="utf-8")
        seal.unlink(missing_ok=True)
