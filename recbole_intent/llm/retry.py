"""Retry policy: exponential backoff with jitter, and Retry-After headers."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass

_LONGEST_WISH = 86_400.0  # seconds
_CHANCE = random.Random()  # used only for waits; no result depends on it


@dataclass(frozen=True)
class Retry:
    """Limits on the tries of a request.

    Attributes:
        max_tries: >= 1.
        time_limit: seconds for a request with all its tries and waits; a wait that would end later
            is not started.
        first_wait: seconds before the second try, doubled before each further try.
        longest_wait: maximum wait in seconds, except for waits that a server asks for.
    """

    max_tries: int = 6
    time_limit: float = 600.0
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def wait(self, tries: int) -> float:
        """Seconds to wait after this many failed tries: half to all of the doubled time.

        The jitter keeps requests that failed together from returning together.
        """
        # The exponent is bounded to avoid overflow with many tries.
        full = min(self.longest_wait, self.first_wait * 2.0 ** min(tries - 1, 60))
        return full * _CHANCE.uniform(0.5, 1.0)


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; None if it is absent or invalid.

    Args:
        value: seconds, or an HTTP date. More than a day is invalid.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ArithmeticError, LookupError, OSError, TypeError, ValueError):
            return None  # untrusted text: the date parser does not handle every input
    return max(0.0, seconds) if seconds <= _LONGEST_WISH else None
