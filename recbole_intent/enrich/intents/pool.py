"""Global pool of distinct intents, each in its first wording."""

from collections.abc import Iterable

from recbole_intent.data.formats.wording import clean_intent, normal_form


class IntentPool:
    """Intents in the order of entry, each with the number of sessions that have it.

    Args:
        intents: initial intents.
    """

    def __init__(self, intents: Iterable[str] = ()) -> None:
        self._known: dict[str, str] = {}
        self._sessions: dict[str, int] = {}
        self.enter(intents)

    def __len__(self) -> int:
        return len(self._known)

    def enter(self, intents: Iterable[str]) -> None:
        """Add intents without assigning them to a session."""
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
        """Add a session's intents and return them in the pool's wording, each once."""
        entered = dict.fromkeys(filter(None, map(self._enter, intents)))
        for intent in entered:
            self._sessions[intent] += 1
        return tuple(entered)

    def shown(self, most: int) -> list[str]:
        """The intents to show in a prompt: those with the most sessions, older ones first.

        Args:
            most: maximum number, so that prompts stay short when the pool is large.

        Returns:
            Intents in the order of entry.
        """
        names = list(self._sessions)
        if len(names) > most:
            ranked = sorted(range(len(names)), key=lambda i: (-self._sessions[names[i]], i))
            names = [names[i] for i in sorted(ranked[:most])]
        return names

    def counts(self) -> dict[str, int]:
        """Intent -> number of sessions that have it, in the order of entry."""
        return dict(self._sessions)
