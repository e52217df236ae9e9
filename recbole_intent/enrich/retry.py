"""When to ask again: growing waits with chance in them, and what a server says of it."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass

_LONGEST_WISH = 86_400.0  # seconds
_CHANCE = random.Random()  # of the waits alone; no result depends on it


@dataclass(frozen=True)
class Retry:
    """How often and how long a request is tried.

    Attributes:
        max_tries: >= 1.
        time_limit: seconds for a request with all its tries and waits; no wait begins that would
            end later.
        first_wait: seconds before the second try; doubled before each further one.
        longest_wait: seconds, of the waits that a server did not ask for.
    """

    max_tries: int = 6
    time_limit: float = 600.0
    first_wait: float = 1.0
    longest_wait: float = 60.0

    def wait(self, tries: int) -> float:
        """Seconds to wait after so many failed tries: half to all of the doubled time.

        Chance keeps requests that failed together from coming back together.
        """
        # The exponent is bounded for the sake of very patient settings.
        full = min(self.longest_wait, self.first_wait * 2.0 ** min(tries - 1, 60))
        return full * _CHANCE.uniform(0.5, 1.0)


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; None where it is absent or makes no sense.

    Args:
        value: seconds, or an HTTP date. More than a day makes no sense.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ArithmeticError, LookupError, OSError, TypeError, ValueError):
            return None  # a stranger's text: the parser of dates does not foresee every one
    return max(0.0, seconds) if seconds <= _LONGEST_WISH else None
