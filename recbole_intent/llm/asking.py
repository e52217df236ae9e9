"""Askers: send many requests at once and return the answers in the order of the requests."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.client import Answer, ChatClient
from recbole_intent.llm.progress import Progress
from recbole_intent.llm.sources import ChatRequest, RequestFailed, Source


class Asker(Protocol):
    """Interface through which a step gets its answers.

    Attributes:
        progress: request counters.
        at_once: maximum number of requests that a step should pass in one call.
    """

    progress: Progress
    at_once: int

    def ask_all(self, requests: Sequence[ChatRequest]) -> list[Answer | RequestFailed]:
        """Return an answer for each request, or the reason for its failure.

        Raises:
            UserError: no request can be answered.
        """
        ...

    def close(self) -> None:
        """Release resources; no requests may follow."""
        ...


class LocalAsker:
    """Sends concurrent requests from this process.

    Args:
        source: closed together with this asker.
        cache: stays open.
        concurrency: maximum number of requests in flight.
    """

    at_once = 256

    def __init__(self, source: Source, cache: AnswerCache, concurrency: int) -> None:
        self._loop = asyncio.Runner()
        self._client = ChatClient(source, cache, concurrency=concurrency)
        self.progress = self._client.progress

    def ask_all(self, requests: Sequence[ChatRequest]) -> list[Answer | RequestFailed]:
        """As `Asker`."""
        return self._loop.run(self._client.ask_all(requests)) if requests else []

    def close(self) -> None:
        """As `Asker`."""
        self._loop.run(self._client.__aexit__(None, None, None))
        self._loop.close()
