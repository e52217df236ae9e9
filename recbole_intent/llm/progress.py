"""Request counters for the progress bar and the report."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

_WINDOW = 500  # the rate is computed over this many recent answers


@dataclass
class Progress:
    """Counters of a client.

    Attributes:
        asked: answers received from a source.
        cached: answers from the cache.
        failed: requests without an answer.
        retried: tries beyond the first of each request.
        prompt_tokens, completion_tokens: tokens of the received answers; cached ones cost nothing.
        reasons: kind of failure -> number of failed requests.
    """

    asked: int = 0
    cached: int = 0
    failed: int = 0
    retried: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    _began: float | None = None
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    @property
    def done(self) -> int:
        """Number of answered and failed requests."""
        return self.asked + self.cached + self.failed

    @property
    def rate(self) -> float:
        """Recently completed requests per second, without cached ones."""
        if self._began is None or not self._times:
            return 0.0
        is_all = len(self._times) < _WINDOW
        since = self._began if is_all else self._times[0]
        return len(self._times) / max(time.monotonic() - since, 1e-9)

    def begin(self) -> None:
        """Record that a request is about to be sent."""
        if self._began is None:
            self._began = time.monotonic()

    def end(self) -> None:
        """Record the end of a sent request."""
        self._times.append(time.monotonic())
