"""Ownership of output folders: a command writes only to empty folders and to its own.

A claimed folder first gets a file `.recbole_intent`, which names its purpose. Folders of versions
before that file are recognised by their contents. All other folders are foreign: nothing in them is
changed, with or without `--fresh`.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import (
    folder_lock,
    is_lock,
    remove_dead_temporaries,
    temporary_target,
    write_json,
)
from recbole_intent.utils.own_files import read_json, read_mapping
from recbole_intent.utils.version import __version__

MARKER = ".recbole_intent"

_RUN_FILES = (
    r"(data|result|inference|trackers)\.json|config\.yaml|(best|last)\.pt|ranks\.npz|log"
    r"|tensorboard/events\.out\.tfevents\.[^/]+"
    r"|evaluations/(inference-)?[0-9a-f]{10}\.(json|npz)"
)
_SEARCH_FILES = (
    r"sweep\.json|ledger\.jsonl|best\.yaml|trials\.csv|(parallel|time)\.png|page\.html|result\.json"
    rf"|ray-temporary|ray/.+|trials/\d{{4,}}/({_RUN_FILES}|lock|\.recbole_intent)"
)
_COMPARISON_FILES = (
    r"report\.md|page\.html|[\w-]+\.(png|svg|pdf)|tables/[\w-]+\.(md|csv|tex)"
    r"|logs/(train|evaluate|time)_[^/]*\.txt"
)


def _reads_as_run(folder: Path) -> bool:
    read_json(folder / "data.json", {"fingerprint": str})
    read_mapping(folder / "config.yaml", {"model": str, "dataset": str})
    return True


def _reads_as_search(folder: Path) -> bool:
    read_json(folder / "sweep.json", {"model": str, "config": dict, "search": dict})
    return True


def _reads_as_searches(folder: Path) -> bool:
    with open(folder / "report.md", encoding="utf-8") as file:
        return file.readline().startswith("# Hyper-parameter searches on ")


def _reads_as_comparison(folder: Path) -> bool:
    with open(folder / "report.md", encoding="utf-8") as file:
        return file.readline().startswith("# Comparison on ")


def _reads_as_reproduction(folder: Path) -> bool:
    return any(folder.glob(f"*/{MARKER}"))


@dataclass(frozen=True)
class Kind:
    """The purpose of a folder.

    Attributes:
        name: its name in markers and messages.
        files: regular expression of the files, relative to the folder, that the command writes.
        always: names in every folder of an older version, one of each row.
        reads: whether the contents of an older folder are of this kind; may raise an error.
        refusal: message about a foreign `{folder}`, which contains `{name}`.
    """

    name: str
    files: str
    always: tuple[tuple[str, ...], ...]
    reads: Callable[[Path], bool]
    refusal: str

    def is_own(self, relative: str) -> bool:
        """Whether a path, relative to the folder, is a file that the command writes."""
        folder, _, name = relative.rpartition("/")
        path = "/".join(filter(None, [folder, temporary_target(name) or name]))
        return re.fullmatch(self.files, path) is not None


_HOLDS = "{folder}: holds {name}, and no "
RUN = Kind(
    "run",
    _RUN_FILES,
    (("data.json",), ("config.yaml",)),
    _reads_as_run,
    "{folder}/{name}: is not that of a run",
)
SEARCH = Kind("search", _SEARCH_FILES, (("sweep.json",),), _reads_as_search, f"{_HOLDS}search")
SEARCHES = Kind(
    "report of searches",
    rf"report\.md|[^/]+/({_SEARCH_FILES}|lock|\.recbole_intent)",
    (("report.md", "*/sweep.json"),),
    _reads_as_searches,
    f"{_HOLDS}searches",
)
COMPARISON = Kind(
    "comparison",
    _COMPARISON_FILES,
    (("report.md", "logs"),),
    _reads_as_comparison,
    f"{_HOLDS}comparison",
)
REPRODUCTION = Kind(
    "reproduction",
    rf"[\w.-]+\.(md|csv|tex)|[^/]+/({_COMPARISON_FILES}|lock|\.recbole_intent)",
    (("*/report.md", "*/logs", f"*/{MARKER}"),),
    _reads_as_reproduction,
    f"{_HOLDS}table of a paper",
)


def refuse_foreign(folder: str | Path, kind: Kind) -> None:
    """Raise unless a folder is missing, empty, or created by a command of this kind.

    Nothing is changed.

    Raises:
        UserError: a file, a link to a folder that is not ours, the root of the file system, a
            folder with other contents, or one that cannot be read.
    """
    folder = Path(folder)
    try:
        if folder.resolve() == Path(folder.resolve().anchor):
            raise UserError(f"{folder}: is the root of the file system; choose another --output")
        if not folder.is_dir():
            if folder.exists() or folder.is_symlink():
                raise UserError(f"{folder}: is not a folder; choose another --output")
            return
        left = sorted(path.name for path in folder.iterdir() if not _is_nothing(path))
        if left and _is_ours(folder, kind):
            return
        if folder.is_symlink():
            raise UserError(
                f"{folder}: is a link to {os.readlink(folder)}; give that folder itself as --output"
            )
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{folder}: cannot be used: {error}; choose another --output") from error
    if left:
        first = kind.refusal.format(folder=folder, name=left[0])
        raise UserError(f"{first}; choose another --output")


@contextmanager
def claimed(
    folder: str | Path, kind: Kind, *, keep: Sequence[str], wait: bool = False
) -> Iterator[None]:
    """Lock and mark a folder until the block ends, and remove dead temporary files.

    If the block raises before anything worth keeping exists, the folder is restored.

    Args:
        folder: created if missing.
        kind: purpose of the folder.
        keep: glob patterns of files worth keeping.
        wait: as `files.folder_lock`.

    Raises:
        UserError: as `refuse_foreign` and `files.folder_lock`.
    """
    folder = Path(folder)
    refuse_foreign(folder, kind)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with folder_lock(folder, wait=wait):
            claim(folder, kind)
            try:
                yield
            except Exception:
                if not any(any(folder.glob(name)) for name in keep):
                    _leave(folder, kind)
                raise
    except Exception:
        for path in made:
            with suppress(OSError):  # not empty: something is kept
                path.rmdir()
        raise


def claim(folder: str | Path, kind: Kind) -> None:
    """Claim a folder for a kind: write its marker before anything else.

    Dead temporary files of the kind are removed. If two processes may claim a folder at the same
    time, use `claimed`.

    Raises:
        UserError: as `refuse_foreign`, or the marker cannot be written.
    """
    folder = Path(folder)
    refuse_foreign(folder, kind)
    if _marked_kind(folder) != kind.name:
        write_json(folder / MARKER, {"kind": kind.name, "version": __version__})
    for inside in {folder, *(path.parent for path, _ in _files(folder))}:
        prefix = inside.relative_to(folder).as_posix()
        prefix = "" if prefix == "." else f"{prefix}/"

        def is_own(name: str, prefix: str = prefix) -> bool:
            return kind.is_own(prefix + name)

        remove_dead_temporaries(inside, is_own)


def clear(folder: str | Path, kind: Kind) -> None:
    """Remove only the files that the command wrote; the folder stays claimed.

    Links are not followed; subfolders are removed once they are empty.

    Raises:
        UserError: as `refuse_foreign`, or a file cannot be removed.
    """
    folder = Path(folder)
    refuse_foreign(folder, kind)
    for path, relative in list(_files(folder)):
        if kind.is_own(relative):
            _remove(path, path.unlink)
            for parent in path.parents:
                if parent == folder or any(parent.iterdir()):
                    break
                _remove(parent, parent.rmdir)


def _leave(folder: Path, kind: Kind) -> None:
    # Called while handling an error, which must stay the one that is shown.
    with suppress(OSError, UserError):
        clear(folder, kind)
        (folder / MARKER).unlink(missing_ok=True)


def _remove(path: Path, how: Callable[[], None]) -> None:
    try:
        how()
    except OSError as error:
        raise UserError(f"{path}: cannot be removed: {error.strerror or error}") from error


def _is_nothing(path: Path) -> bool:
    """Whether a file was left by a process killed before it claimed the folder."""
    is_marker_to_be = re.fullmatch(rf"{re.escape('.' + MARKER)}\.\d+\.tmp", path.name)
    return bool(is_marker_to_be) or (path.name == "lock" and is_lock(path))


def _is_ours(folder: Path, kind: Kind) -> bool:
    marked = _marked_kind(folder)
    if marked is not None:
        if marked != kind.name:
            raise UserError(f"{folder}: is the folder of a {marked}; choose another --output")
        return True
    if not all(any(any(folder.glob(name)) for name in names) for names in kind.always):
        return False
    try:  # recognised by its contents, whatever else is there
        if kind.reads(folder):
            return True
    except (OSError, UnicodeDecodeError, UserError):
        pass
    # Damaged but complete, and without foreign files.
    return all(kind.is_own(name) or _is_nothing(path) for path, name in _files(folder))


def _marked_kind(folder: Path) -> str | None:
    try:
        return read_json(folder / MARKER, {"kind": str})["kind"]
    except UserError:  # none, or damaged
        return None


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield all files below a folder with their relative paths; links count as files."""
    for parent, names, files in os.walk(folder, followlinks=False):
        links = [name for name in names if (Path(parent) / name).is_symlink()]
        for name in [*files, *links]:
            path = Path(parent) / name
            yield path, path.relative_to(folder).as_posix()
