"""Requests that arrive while the model is busy wait, and then share its next pass."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

MAX_BATCH = 1024  # rows of a pass
MAX_WAITING = 4096  # rows


class BusyError(RuntimeError):
    """More rows wait than `MAX_WAITING`."""


class _Waiting(NamedTuple):
    kind: Hashable
    rows: Sequence[Any]
    answer: asyncio.Future


class Batcher:
    """Calls a function with the rows of all waiting requests of one kind, on a thread of its own.

    A request that finds the model idle is not delayed. If the rows of several requests fail
    together, each request is asked alone, so that one cannot spoil the others.

    Args:
        answers: from a kind and R rows to R answers; it is never called twice at the same time.
    """

    def __init__(self, answers: Callable[[Any, list[Any]], Sequence[Any]]) -> None:
        self._answers = answers
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.passes = 0

    @property
    def waiting(self) -> int:
        """Number of rows that wait."""
        return sum(len(one.rows) for one in self._queue)

    async def ask(self, kind: Hashable, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the answers to some rows.

        Args:
            kind: only requests of equal kinds share a pass.
            rows: R rows.

        Raises:
            BusyError: too many rows wait already.
        """
        if self.waiting + len(rows) > MAX_WAITING:
            raise BusyError("the server is busy; try again later")
        one = _Waiting(kind, rows, asyncio.get_running_loop().create_future())
        self._queue.append(one)
        self._arrived.set()
        return await one.answer

    async def work(self) -> None:
        """Answer requests until the task is cancelled."""
        while True:
            await self._arrived.wait()
            batch = self._next()
            if not await self._answer(batch) and len(batch) > 1:
                for one in batch:
                    await self._answer([one])
            if not self._queue:
                self._arrived.clear()

    def close(self) -> None:
        """Stop the thread after its pass."""
        self._thread.shutdown()

    def _next(self) -> list[_Waiting]:
        """Take the oldest request and those of its kind, up to `MAX_BATCH` rows."""
        batch, others, size = [self._queue.popleft()], [], 0
        size = len(batch[0].rows)
        for one in self._queue:
            if one.kind == batch[0].kind and size + len(one.rows) <= MAX_BATCH:
                batch.append(one)
                size += len(one.rows)
            else:
                others.append(one)
        self._queue = deque(others)
        return batch

    async def _answer(self, batch: list[_Waiting]) -> bool:
        """Answer some requests; False if several of them failed together."""
        rows = [row for one in batch for row in one.rows]
        self.passes += 1
        call = asyncio.get_running_loop().run_in_executor(
            self._thread, self._answers, batch[0].kind, rows
        )
        try:
            answers = await call
        except Exception as error:  # noqa: BLE001  (the request's handler raises it)
            if len(batch) == 1 and not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return False
        for one in batch:
            if not one.answer.done():  # its client may be gone
                one.answer.set_result(answers[: len(one.rows)])
            answers = answers[len(one.rows) :]
        return True
