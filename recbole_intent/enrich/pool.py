"""The global intent pool: each intent once, in the words in which it came first."""

import re
from collections.abc import Iterable

LONGEST = 100  # characters of an intent; what is longer is no intent but an essay
_NOT_WORD = re.compile(r"[\W_]+")


def normal_form(intent: str) -> str:
    """What two intents are compared by: letters and digits in lower case, single spaces."""
    return _NOT_WORD.sub(" ", intent).strip().casefold()


def clean_intent(text: str) -> str:
    """An intent on one line, without quotes or a full stop around it; empty if it is none."""
    text = " ".join(text.split()).strip(" \"'`.;,:")
    return text if normal_form(text) and len(text) <= LONGEST else ""


class IntentPool:
    """Intents in the order in which they entered, and how many sessions have each.

    Args:
        intents: to begin with.
    """

    def __init__(self, intents: Iterable[str] = ()) -> None:
        self._known: dict[str, str] = {}
        self._sessions: dict[str, int] = {}
        self.enter(intents)

    def __len__(self) -> int:
        return len(self._known)

    def enter(self, intents: Iterable[str]) -> None:
        """Enter intents that no session has yet."""
        for intent in intents:
            self._enter(intent)

    def _enter(self, intent: str) -> str | None:
        intent = clean_intent(intent)
        if not intent:
            return None
        intent = self._known.setdefault(normal_form(intent), intent)
        self._sessions.setdefault(intent, 0)
        return intent

    def accept(self, intents: Iterable[str]) -> tuple[str, ...]:
        """Enter a session's intents; returns them in the pool's words, each once."""
        entered = dict.fromkeys(filter(None, map(self._enter, intents)))
        for intent in entered:
            self._sessions[intent] += 1
        return tuple(entered)

    def shown(self, most: int) -> list[str]:
        """The intents to show in a prompt: those of the most sessions, else the older ones.

        Args:
            most: how many at most, so that prompts stay short when the pool is large.

        Returns:
            Intents in the order in which they entered.
        """
        names = list(self._sessions)
        if len(names) > most:
            ranked = sorted(range(len(names)), key=lambda i: (-self._sessions[names[i]], i))
            names = [names[i] for i in sorted(ranked[:most])]
        return names

    def counts(self) -> dict[str, int]:
        """Intent -> how many sessions have it, in the order in which they entered."""
        return dict(self._sessions)
