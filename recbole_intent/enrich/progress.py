"""Counters of what was asked, for a progress bar and for the report."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

_WINDOW = 500  # the rate is that of so many last answers


@dataclass
class Progress:
    """What a client has done so far.

    Attributes:
        asked: answers that a source gave now.
        cached: answers that were there already.
        failed: requests without an answer.
        retried: tries beyond the first of each request.
        prompt_tokens, completion_tokens: of the answers given now; what was cached costs nothing.
        reasons: kind of failure -> requests that failed so.
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
        """Requests with an answer, or without hope of one."""
        return self.asked + self.cached + self.failed

    @property
    def rate(self) -> float:
        """Requests that were asked and came to an end, per second, of late."""
        if self._began is None or not self._times:
            return 0.0
        is_all = len(self._times) < _WINDOW
        since = self._began if is_all else self._times[0]
        return len(self._times) / max(time.monotonic() - since, 1e-9)

    def begin(self) -> None:
        """A request is about to be asked."""
        if self._began is None:
            self._began = time.monotonic()

    def end(self) -> None:
        """A request that was asked has come to its end."""
        self._times.append(time.monotonic())
