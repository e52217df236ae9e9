"""Asking many questions at once; their answers come back in the order of the questions."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from recbole_intent.enrich.cache import AnswerCache
from recbole_intent.enrich.client import Answer, ChatClient
from recbole_intent.enrich.progress import Progress
from recbole_intent.enrich.sources import ChatRequest, RequestFailed, Source


class Asker(Protocol):
    """Where a step of the work gets its answers.

    Attributes:
        progress: counters of what was asked.
        at_once: requests of a step to hand over together, where they are more.
    """

    progress: Progress
    at_once: int

    def ask_all(self, requests: Sequence[ChatRequest]) -> list[Answer | RequestFailed]:
        """An answer for each request, or why it has none.

        Raises:
            UserError: no request can be answered.
        """
        ...

    def close(self) -> None:
        """Nothing is asked after it."""
        ...


class LocalAsker:
    """Asks from this process, many requests at once.

    Args:
        source: closed with it.
        cache: stays open.
        concurrency: requests under way at once.
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
