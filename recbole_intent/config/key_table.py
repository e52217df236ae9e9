"""The rows and rules of one model: the shared ones and its own."""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recbole_intent.config.key_kinds import like
from recbole_intent.config.keys import SHARED, SHARED_RULES, Key, Rule, Values
from recbole_intent.config.recbole_keys import COMMON
from recbole_intent.utils.errors import UserError


@dataclass(frozen=True)
class KeyTable:
    """The rows and rules of one model.

    Attributes:
        rows: name -> row; the model's own first.
        rules: in the order of checking.
    """

    rows: Mapping[str, Key]
    rules: Sequence[Rule] = ()

    def row(self, name: str, default: Any = None) -> Key:
        """Return the row of a key, or one made from its default."""
        return self.rows.get(name) or Key(name, like(default), "")

    def mistake(self, name: str, value: Any, default: Any = None) -> str | None:
        """Describe an invalid value; None if it is valid."""
        return self.row(name, default).mistake(value, default)

    def broken_rules(self, values: Values) -> Iterator[tuple[str, str]]:
        """Yield (key, description) for each rule that the values break."""
        for rule in self.rules:
            if all(key in values for key in rule.keys):
                mistake = rule.mistake(values)
                if mistake:
                    yield rule.keys[0], mistake

    def idle(self, names: Iterable[str], values: Values) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (key, the keys that disable it) for each of `names` without effect."""
        for name in names:
            if name in self.rows and (because := self.rows[name].idle_because(values)):
                yield name, because

    def check(self, values: Any) -> None:
        """Raise for values that a row or rule refuses; absent keys are skipped.

        Args:
            values: a mapping, or RecBole's configuration.

        Raises:
            UserError: the first invalid key.
        """
        present = {name: values[name] for name in self.rows if name in values}
        for name, value in present.items():
            mistake = self.rows[name].kind.mistake(value)
            if mistake:
                raise UserError(f"{name}: {mistake}")
        for name, mistake in self.broken_rules(present):
            raise UserError(f"{name}: {mistake}")


def key_table(module: str | None = None) -> KeyTable:
    """Return the rows and rules of a model.

    Args:
        module: name of the module with `KEYS` and, if keys can contradict each other, `RULES`; None
            for a class outside the table.
    """
    own = importlib.import_module(module) if module else None
    rows = {key.name: key for key in (*SHARED.values(), *COMMON, *getattr(own, "KEYS", ()))}
    return KeyTable(rows, (*SHARED_RULES, *getattr(own, "RULES", ())))
