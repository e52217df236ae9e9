"""Atomic file writes and exclusive folder locks."""

import fcntl
import hashlib
import json
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from recbole_intent.utils.errors import UserError

_LOGGER = logging.getLogger("recbole_intent")


# Name of a temporary file: its target's name, and the id of the process that writes it.
_TEMPORARY = re.compile(r"\.(?P<target>.+)\.\d+\.tmp", re.DOTALL)
_LOCK = re.compile(rb"(pid \d+\s*)?")  # all that our lock files can contain


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on exit it is synced and renamed to `path`.

    If the block raises, or the disk is full, the temporary file is removed and `path` is unchanged.
    Temporary files that killed processes left for the same `path` are removed first.

    Raises:
        UserError: the file cannot be written (no space, no permission).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead_temporaries(path.parent, lambda target: target == path.name)
        descriptor = _locked(temporary)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        hint = "; move it away" if os.path.isdir(path) else ""
        raise UserError(f"{path}: cannot be written: {error.strerror or error}{hint}") from error
    finally:
        # A failure here must not hide the first error.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if descriptor is not None:
            os.close(descriptor)
    _sync_folder(path.parent)


def _locked(temporary: Path) -> int:
    """Create and lock a temporary file; the system drops the lock when this process ends."""
    while True:
        descriptor = os.open(temporary, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o666)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have removed it as dead before it was locked.
        if _is_still(descriptor, temporary):
            return descriptor
        os.close(descriptor)


def remove_dead_temporaries(folder: str | Path, is_wanted: Callable[[str], object]) -> None:
    """Remove temporary files of `atomic_write` whose process is gone.

    A live process holds locks on its files, on any machine and in any container, so they stay.
    Files that cannot be removed stay too, without an error.

    Args:
        folder: may be missing.
        is_wanted: called with the target name of a temporary file.
    """
    with suppress(OSError):
        names = [entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
        for name in names:
            target = temporary_target(name)
            if target and is_wanted(target):
                with suppress(OSError):
                    _remove_if_dead(Path(folder) / name)


def temporary_target(name: str) -> str | None:
    """Return the target name of a temporary file; None for another file."""
    match = _TEMPORARY.fullmatch(name)
    return match["target"] if match else None


def _remove_if_dead(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its owner lives
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    # The rename survives a power cut only once the folder is synced. The file is in place already,
    # so a folder that cannot be synced (no permission to list it) is not an error.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


_HASHES: dict[tuple[int, ...], str] = {}
_SETTLED = 1.0  # seconds; two changes within the clock's step leave the same times


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits.

    A process hashes an unchanged file once: place, size and times identify it. A file that was
    changed a moment ago is always read.
    """
    known = _HASHES.get(_identity(os.stat(path)))
    if known is not None:
        return known
    with open(path, "rb") as file:
        status, now = os.fstat(file.fileno()), time.time()
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if now - max(status.st_mtime, status.st_ctime) > _SETTLED:
        _HASHES[_identity(status)] = digest
    return digest


def _identity(status: os.stat_result) -> tuple[int, ...]:
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (status.st_dev, status.st_ino, status.st_size, *times)


def fingerprint(value: Any) -> str:
    """SHA-256 of a plain value's canonical JSON, as hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def folder_lock(folder: str | Path, *, wait: bool = False) -> Iterator[None]:
    """Lock a folder until the block ends or the process dies, for whatever reason.

    The file `lock` exists meanwhile; a killed process leaves it behind, which does no harm.

    Args:
        folder: created if missing.
        wait: log and wait for the current owner, instead of failing.

    Raises:
        UserError: another process owns it and `wait` is False.
    """
    path = Path(folder) / "lock"
    made = [parent for parent in path.parents if not os.path.lexists(parent)]
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _open_lock(path)
        except OSError as error:
            for parent in made:
                with suppress(OSError):  # never created, or not empty
                    parent.rmdir()
            raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
        with file:
            _lock(file, path, wait)
            if not _is_still(file.fileno(), path):
                continue  # its owner removed it while we waited: our lock is void
            try:
                file.truncate(0)
                file.write(f"pid {os.getpid()}")
                file.flush()
            except OSError as error:
                why = error.strerror or error
                raise UserError(f"{path}: cannot be written: {why}") from error
            try:
                yield
            finally:
                # Removed while locked: a waiting process notices and creates a new one. If it
                # cannot be removed it does no harm, and must not hide why the block ended.
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            return


def _open_lock(path: Path) -> TextIO:
    """Open a lock file; refuse any other file of that name."""
    flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o666)
    is_ours = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if not is_ours or not _LOCK.fullmatch(os.pread(descriptor, 64, 0)):
        os.close(descriptor)
        raise UserError(
            f"{path}: is not a lock of this package, which needs that name; move it away"
        )
    return os.fdopen(descriptor, "a+", encoding="utf-8")


def is_lock(path: Path) -> bool:
    """Whether a file is a lock that `folder_lock` made."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with open(path, "rb") as file:
            return bool(_LOCK.fullmatch(file.read(64)))
    except OSError:
        return False


def _lock(file: TextIO, path: Path, wait: bool) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        if not wait:
            raise UserError(
                f"{path.parent}: another process ({owner}) is at work in this folder; "
                "wait for it, or give --output=DIR"
            ) from error
        _LOGGER.info("waiting for another process (%s) at work in %s", owner, path.parent)
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
