"""Client that sends concurrent requests to a source, with cache, claims, retries and early stop.

async with ChatClient(source, cache, concurrency=8) as client:
    answer = await client.ask(ChatRequest(messages, schema, tag="item_features@1"))
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.progress import Progress
from recbole_intent.llm.retry import Retry
from recbole_intent.llm.sources import (
    ChatRequest,
    Completion,
    RequestFailed,
    Source,
    TryAgain,
    request_key,
)
from recbole_intent.utils.errors import UserError

__all__ = ["Answer", "ChatClient", "ChatRequest", "RequestFailed"]

_LOOK_AGAIN = 0.25  # seconds between checks of a request claimed by another process
_TRIES_IF_ABSENT = 3  # if nothing ever listened: most likely a wrong address


@dataclass(frozen=True)
class Answer:
    """An answer, and whether it was in the cache; tokens are those of the original request."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    cached: bool


class ChatClient:
    """Sends requests to a source, each distinct request only once.

    Args:
        source: closed together with the client.
        cache: stays open.
        concurrency: maximum number of requests in flight, >= 1.
        retry: retry settings.
        max_failures: number of consecutive requests given up after all tries at which the client
            stops, since the server is gone. A refused request does not count: the server replied.
    """

    def __init__(
        self,
        source: Source,
        cache: AnswerCache,
        *,
        concurrency: int = 8,
        retry: Retry | None = None,
        max_failures: int = 100,
    ) -> None:
        if concurrency < 1:
            raise UserError(f"concurrency: {concurrency}: must be at least 1")
        self.source = source
        self.cache = cache
        self.progress = Progress()
        self._retry = retry or Retry()
        self._max_failures = max_failures
        self._concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._asking: dict[str, asyncio.Task[Answer]] = {}
        self._stopped: UserError | None = None
        self._not_before = 0.0  # monotonic time until which a server asked to wait
        self._given_up_in_row = 0

    async def ask(self, request: ChatRequest) -> Answer:
        """Return the answer to a request, from the cache if possible.

        Raises:
            RequestFailed: this request cannot be answered.
            UserError: no request can be answered; all waiting requests fail with the same error.
        """
        key = request_key(self.source, request)
        task = self._asking.get(key)
        if task is None:
            self._check()
            if stored := self.cache.get(key):
                return self._cached(stored)
            task = asyncio.create_task(self._answer(key, request))
            self._asking[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
            return await self._wait_for(task)
        answer = await self._wait_for(task)
        return self._cached(Completion(answer.text, answer.prompt_tokens, answer.completion_tokens))

    async def ask_all(self, requests: Iterable[ChatRequest]) -> list[Answer | RequestFailed]:
        """Return the answers to many requests in order, or the reasons for failures.

        Only requests in flight are held in memory, in addition to the answers.

        Raises:
            UserError: as in `ask`.
        """
        answers: dict[int, Answer | RequestFailed] = {}
        numbered = enumerate(requests)

        async def work() -> None:
            for index, request in numbered:
                try:
                    answers[index] = await self.ask(request)
                except RequestFailed as error:
                    answers[index] = error

        # More workers than slots: some wait for requests claimed by another process.
        workers = [asyncio.create_task(work()) for _ in range(4 * self._concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return [answers[index] for index in range(len(answers))]

    def _cached(self, stored: Completion) -> Answer:
        self.progress.cached += 1
        return Answer(stored.text, stored.prompt_tokens, stored.completion_tokens, cached=True)

    async def _wait_for(self, task: asyncio.Task[Answer]) -> Answer:
        try:
            # Cancelling one waiter must not cancel the request for the others.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                self._check()
            raise

    def _forget(self, key: str, task: asyncio.Task[Answer]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # mark as retrieved: no waiter may be left

    async def _answer(self, key: str, request: ChatRequest) -> Answer:
        try:
            while True:
                async with self._slots:
                    claimed = await self.cache.claim(key)
                    if isinstance(claimed, Completion):
                        return self._cached(claimed)
                    if claimed:
                        return await self._ask(key, request)
                await asyncio.sleep(_LOOK_AGAIN)  # holds no slot: others may be sent
        except UserError as error:
            raise self._stop(error) from None
        except RequestFailed as error:
            self._count_failure(error)
            raise

    async def _ask(self, key: str, request: ChatRequest) -> Answer:
        self.progress.begin()
        try:
            completion = await self._complete(request)
        except BaseException:
            await self.cache.release(key)
            raise
        finally:
            self.progress.end()
        await self.cache.store(key, completion, request.tag)
        self._given_up_in_row = 0
        self.progress.asked += 1
        self.progress.prompt_tokens += completion.prompt_tokens
        self.progress.completion_tokens += completion.completion_tokens
        return Answer(
            completion.text, completion.prompt_tokens, completion.completion_tokens, cached=False
        )

    async def _complete(self, request: ChatRequest) -> Completion:
        end = time.monotonic() + self._retry.time_limit
        tries = 0
        while True:
            await self._keep_silence(end)
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    return await self.source.complete(request)
            except TimeoutError:
                reason = f"no answer within {self._retry.time_limit:g} s"
                raise _GivenUp(reason, "time limit") from None
            except TryAgain as error:
                tries += 1
                await self._wait_before_next(error, tries, end)
                self.progress.retried += 1

    async def _keep_silence(self, end: float) -> None:
        while (wait := self._not_before - time.monotonic()) > 0:
            if self._not_before > end:
                reason = f"the server asks to wait {wait:.0f} s, longer than the time limit"
                raise _GivenUp(reason, "time limit")
            await asyncio.sleep(wait)

    async def _wait_before_next(self, error: TryAgain, tries: int, end: float) -> None:
        now = time.monotonic()
        if error.after is not None:  # applies to all: they go to the same server
            self._not_before = max(self._not_before, now + error.after)
        was_never_there = error.is_absent and not self.progress.asked
        limit = _TRIES_IF_ABSENT if was_never_there else self._retry.max_tries
        if tries < min(limit, self._retry.max_tries):
            wait = self._retry.wait(tries)
            if now + wait < end:
                await asyncio.sleep(wait)
                return
        if was_never_there:
            raise UserError(error.reason) from None
        times = "once" if tries == 1 else f"{tries} times"
        raise _GivenUp(f"failed {times}, at last: {error.reason}", error.kind) from None

    def _count_failure(self, error: RequestFailed) -> None:
        self.progress.failed += 1
        self.progress.reasons[error.kind] += 1
        self._given_up_in_row = self._given_up_in_row + 1 if isinstance(error, _GivenUp) else 0
        if self._given_up_in_row >= self._max_failures:
            stop = UserError(
                f"{self._given_up_in_row} requests in a row got no answer, the last: "
                f"{error.reason}; the answers so far are kept: the same command continues"
            )
            raise self._stop(stop) from None

    def _check(self) -> None:
        if self._stopped:
            # A new object each time: a raised one keeps the traceback of its first raise.
            raise UserError(*self._stopped.args)

    def _stop(self, error: UserError) -> UserError:
        """Cancel all requests in flight; only the first error is reported."""
        if self._stopped is None:
            self._stopped = error
            for task in self._asking.values():
                if task is not asyncio.current_task():
                    task.cancel()
        return UserError(*self._stopped.args)

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        left = list(self._asking.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.source.close()


class _GivenUp(RequestFailed):
    """The request failed in all tries or reached the time limit."""
