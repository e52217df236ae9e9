"""Files that are either whole or not there, and folders that one process owns."""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from recbole_intent.errors import UserError

_LOGGER = logging.getLogger("recbole_intent")


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`; on leaving, it is synced and renamed to `path`.

    If the block raises, or the disk is full, the temporary file is removed and `path` is as it
    was before.

    Raises:
        UserError: the file cannot be written (no space, no permission).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # The rename itself survives a power cut only once the folder is synced.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file, whole or not at all; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 of a plain value's canonical JSON, as hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def folder_lock(folder: str | Path, *, wait: bool = False) -> Iterator[None]:
    """Own a folder until the block ends or the process dies, however it dies.

    Its file `lock` is there meanwhile, and stays where the process was killed; that does no harm.

    Args:
        folder: made if it is not there.
        wait: wait for the present owner, and say so, instead of failing.

    Raises:
        UserError: another process owns it and `wait` is False.
    """
    path = Path(folder) / "lock"
    made = [parent for parent in path.parents if not os.path.lexists(parent)]
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+")  # noqa: SIM115 (closed below; closing frees the lock)
        except OSError as error:
            for parent in made:
                with suppress(OSError):  # it was never made, or holds what is somebody else's
                    parent.rmdir()
            raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
        with file:
            _lock(file, path, wait)
            if not _is_still(file, path):
                continue  # its owner removed it while we waited: what we hold locks nothing
            file.truncate(0)
            file.write(f"pid {os.getpid()}")
            file.flush()
            try:
                yield
            finally:
                # While it is ours: whoever waits for it finds out, and makes a new one.
                path.unlink(missing_ok=True)
            return


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


def _is_still(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
