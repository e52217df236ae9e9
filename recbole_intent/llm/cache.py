"""Cache of answers in one sqlite file that several processes can share.

Guarantees, on one machine and a local disk (sqlite's log does not work over a network):

- An answer is on disk before `store` returns: a later kill or power cut loses nothing.
- A request is claimed before it is sent. While the claiming process lives, no other sends it; when
  the process ends for any reason, its claims are released at once, without a timeout. (Claims
  belong to an `AnswerCache`: two of them on one file in one process count as two owners.)
- An error such as a full disk leaves all earlier answers intact and names the file.

Requests in flight when the process dies are sent again.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from recbole_intent.llm.sources import Completion, token_count
from recbole_intent.utils.errors import UserError

_VERSION = 1
_PATIENCE = 60.0  # seconds that a process waits for another's write
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, tag TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
"""
_T = TypeVar("_T")


class AnswerCache:
    """Persistent mapping from request keys to answers.

    Args:
        path: the sqlite file; created with its folder if missing.

    Raises:
        UserError: the file is not an answer cache or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._named():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._owner = _Owner(self.path)
        try:
            with self._named():
                self._reader = self._connect()
                self._writer = self._connect()
                self._free_claims_of_the_dead()
        except UserError:
            self._owner.leave()
            raise
        # One thread does all writing, so that the event loop does not wait for the disk.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self._waiting: list[tuple[str, Completion, str]] = []

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            _set_up(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def get(self, key: str) -> Completion | None:
        """The stored answer to a request; None if there is none."""
        with self._named():
            return _select(self._reader, key)

    def __len__(self) -> int:
        with self._named():
            return self._reader.execute("SELECT count(*) FROM answers").fetchone()[0]

    async def claim(self, key: str) -> Completion | bool:
        """Return the stored answer, or else whether this process now owns the request."""
        return await self._in_thread(self._claim, key)

    def _claim(self, key: str) -> Completion | bool:
        # Read again under the lock: another process may have stored it in the meantime.
        with self._transaction("NORMAL") as connection:
            if (stored := _select(connection, key)) is not None:
                return stored
            row = connection.execute("SELECT owner FROM claims WHERE key = ?", [key]).fetchone()
            if row and row[0] != self._owner.name and self._owner.is_alive(row[0]):
                return False
            connection.execute("REPLACE INTO claims VALUES (?, ?)", [key, self._owner.name])
            return True

    async def release(self, key: str) -> None:
        """Release a claim without an answer."""
        await self._in_thread(self._release, key)

    def _release(self, key: str) -> None:
        with self._transaction("NORMAL") as connection:
            mine = [key, self._owner.name]
            connection.execute("DELETE FROM claims WHERE key = ? AND owner = ?", mine)

    async def store(self, key: str, completion: Completion, tag: str = "") -> None:
        """Store an answer on disk and release its claim.

        Raises:
            UserError: the answer cannot be written, for example because the disk is full.
        """
        self._waiting.append((key, completion, tag))
        await self._in_thread(self._store_waiting)

    def store_all(self, rows: Iterable[tuple[str, Completion, str]]) -> None:
        """Store many (key, completion, tag) rows at once, all or none."""
        self._thread.submit(self._store, list(rows)).result()

    def _store_waiting(self) -> None:
        # Answers that arrived during the previous write share one transaction; later calls for
        # these rows have nothing left to do.
        rows, self._waiting = self._waiting, []
        try:
            self._store(rows)
        except BaseException:
            self._waiting = rows + self._waiting
            raise

    def _store(self, rows: list[tuple[str, Completion, str]]) -> None:
        if not rows:
            return
        with self._transaction("FULL") as connection:
            connection.executemany(
                "REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
                [(k, c.text, c.prompt_tokens, c.completion_tokens, tag) for k, c, tag in rows],
            )
            connection.executemany("DELETE FROM claims WHERE key = ?", [(k,) for k, _, _ in rows])

    @contextmanager
    def _transaction(self, synchronous: str) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction; FULL survives a power cut, NORMAL a kill."""
        with self._named():
            self._writer.execute(f"PRAGMA synchronous = {synchronous}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # sqlite itself may have rolled back
                    self._writer.execute("ROLLBACK")
                raise

    async def _in_thread(self, function: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _free_claims_of_the_dead(self) -> None:
        owners = self._writer.execute("SELECT DISTINCT owner FROM claims").fetchall()
        for (owner,) in owners:
            if not self._owner.is_alive(owner):
                self._writer.execute("DELETE FROM claims WHERE owner = ?", [owner])
        self._owner.sweep()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            hint = "give the cache of answers another place (--cache=FILE)"
            raise UserError(f"{self.path}: cannot be used: {why}; {hint}") from error
        except sqlite3.Error as error:
            raise UserError(f"{self.path}: {_advice(error)}") from error

    def close(self) -> None:
        """Store pending answers and release this owner's claims.

        Raises:
            UserError: the answers cannot be written.
        """
        try:
            self._thread.submit(self._store_waiting).result()
        finally:
            self._thread.shutdown()
            with suppress(sqlite3.Error):  # free in any case once the owner has left
                self._writer.execute("DELETE FROM claims WHERE owner = ?", [self._owner.name])
            self._reader.close()
            self._writer.close()
            self._owner.leave()

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    # In this order: another process may be creating the tables, and sets the version with them.
    has_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if has_tables and version == 0:
        raise UserError(f"{path}: is another program's database; give another file")
    if version > _VERSION:
        raise UserError(f"{path}: was written by a later version of recbole_intent; update it")
    if version < _VERSION:
        _when_free(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        with closing(connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _TABLES.split(";")):
                cursor.execute(statement)
            cursor.execute(f"PRAGMA user_version = {_VERSION}")
            cursor.execute("COMMIT")


def _when_free(action: Callable[[], object]) -> None:
    """Repeat the action while another process that opens the file holds the lock."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.05)


def _select(connection: sqlite3.Connection, key: str) -> Completion | None:
    row = connection.execute(
        "SELECT text, prompt_tokens, completion_tokens FROM answers WHERE key = ?", [key]
    ).fetchone()
    if row is None or not isinstance(row[0], str):  # sqlite allows any type in any column
        return None
    text, asked, given = row
    return Completion(text, token_count(asked), token_count(given))


def _advice(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the details of the extended code
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        hint = "cannot be written; free some space and run the same command again"
        return f"{hint}: all earlier answers are kept ({error})"
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"is not a cache of answers, or is damaged ({error}); move it away"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return f"cannot be opened for writing ({error})"
    return f"cannot be used: {error}"


class _Owner:
    """Liveness marker of this process: a locked file next to the cache.

    The operating system releases the lock when the process ends for any reason. A forked (not
    spawned) child also holds the lock as long as it lives.
    """

    def __init__(self, path: Path) -> None:
        self.name = uuid.uuid4().hex
        self._path = path
        self._file = self._sign(self.name)
        new = self._path.with_name(f".{self._file.name}.tmp")
        self._descriptor = os.open(new, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.rename(new, self._file)  # visible to others only once it is locked

    def _sign(self, name: str) -> Path:
        return self._path.with_name(f"{self._path.name}-owner-{name}")

    def is_alive(self, name: str) -> bool:
        """Whether the owner of a claim still runs; a dead owner's file is removed."""
        return name == self.name or _is_locked(self._sign(name))

    def sweep(self) -> None:
        """Remove the files left by killed processes."""
        for file in self._path.parent.glob(f"{self._path.name}-owner-*"):
            if file != self._file:
                _is_locked(file)

    def leave(self) -> None:
        """Remove this process's marker."""
        self._file.unlink(missing_ok=True)
        os.close(self._descriptor)


def _is_locked(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        file.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)
