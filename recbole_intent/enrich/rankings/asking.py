"""Requests for rankings, reasons and other strategies; and what an answer is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from recbole_intent.enrich.conversation import (
    Conversation,
    ConversationResult,
    Manner,
    ask_until_usable,
)
from recbole_intent.enrich.item_features import in_chunks
from recbole_intent.enrich.prompts import prompt
from recbole_intent.llm.asking import Asker
from recbole_intent.llm.schemas import StrictAnswer, closed_object


class _Ranked(StrictAnswer):
    steps: str = ""
    ranking: list[str | int] = Field(min_length=1)


class _Texts(StrictAnswer):
    texts: list[str] = Field(min_length=1)


class _Strategy(StrictAnswer):
    strategy: str = Field(min_length=1)


@dataclass(frozen=True)
class RankTask:
    """A target among its candidates.

    Attributes:
        session: id of the session.
        history: titles of its items before the target, oldest first.
        candidates: ids of the candidates, in the prompt's order.
        titles: their titles.
        target: the target's place among them, from 0.
    """

    session: str
    history: tuple[str, ...]
    candidates: tuple[str, ...]
    titles: tuple[str, ...]
    target: int

    def text(self) -> str:
        """Session and candidates, as an error shows them."""
        return f"Session:\n{_list(self.history)}\nRight item: {self.titles[self.target]}"


def rank_of_target(task: RankTask, ranking: Sequence[int]) -> float:
    """Rank of the target in a ranking of places; candidates that it omits share the last ranks."""
    if task.target in ranking:
        return ranking.index(task.target) + 1.0
    return (len(ranking) + 1 + len(task.candidates)) / 2


def gain(rank: float) -> float:
    """NDCG of a list with one target at this rank."""
    return 1 / math.log2(1 + rank)


class Questions:
    """Asks a language model about tasks and strategies.

    Args:
        asker: sends the requests.
        manner: sampling settings.
        domain: name of the catalogue in prompts.
        attempts: attempts at each question.
        reason: also ask for the steps before a ranking.
    """

    def __init__(
        self, asker: Asker, manner: Manner, domain: str, attempts: int, *, reason: bool
    ) -> None:
        self._asker, self._manner, self._domain = asker, manner, domain
        self._attempts, self._reason = attempts, reason
        self.problems: list[str] = []
        self.tokens = (0, 0)

    def rank(self, strategy: str, tasks: Sequence[RankTask]) -> list[tuple[int, ...]]:
        """For each task, the places of its candidates, best first; empty without an answer."""
        rankings: list[tuple[int, ...]] = []
        for chunk in in_chunks(tasks, self._asker.at_once):
            asked = [self._about(strategy, task) for task in chunk]
            answers = self._ask(asked, _Ranked)
            for task, answer in zip(chunk, answers, strict=True):
                places = _places(answer.value, len(task.candidates))
                if not places:
                    self.problems.append(answer.problem or "names no candidate")
                rankings.append(places)
        return rankings

    def reasons(self, strategy: str, errors: Sequence[RankTask], n: int) -> list[str]:
        """Up to n reasons why a strategy failed on tasks."""
        values = {"strategy": strategy, "errors": _joined(errors), "n": n}
        return self._texts("ranking_reasons", n, values)

    def refined(
        self, strategy: str, errors: Sequence[RankTask], reasons: Sequence[str]
    ) -> str | None:
        """A better strategy; None without a usable answer."""
        schema = closed_object(strategy={"type": "string"})
        values = {"strategy": strategy, "errors": _joined(errors), "reasons": _list(reasons)}
        asked = Conversation(prompt("refine_strategy"), schema, self._manner, **values)
        (answer,) = self._ask([asked], _Strategy)
        return answer.value.strategy.strip() or None if answer.value else None

    def paraphrases(self, strategy: str, n: int) -> list[str]:
        """Up to n versions of a strategy in other words."""
        return self._texts("paraphrase_strategy", n, {"strategy": strategy, "n": n})

    def _about(self, strategy: str, task: RankTask) -> Conversation:
        n = len(task.candidates)
        number = {"type": "string", "enum": [str(place) for place in range(1, n + 1)]}
        ranking = {"type": "array", "items": number, "minItems": 1, "maxItems": n}
        steps = {"steps": {"type": "string"}} if self._reason else {}
        return Conversation(
            prompt("rank_items"),
            closed_object(**steps, ranking=ranking),
            self._manner,
            domain=self._domain,
            strategy=strategy,
            session=_list(task.history),
            candidates="\n".join(f"{i}. {title}" for i, title in enumerate(task.titles, 1)),
        )

    def _texts(self, name: str, n: int, values: dict[str, object]) -> list[str]:
        if not n:
            return []
        texts = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": n}
        asked = Conversation(prompt(name), closed_object(texts=texts), self._manner, **values)
        (answer,) = self._ask([asked], _Texts)
        given = answer.value.texts if answer.value else []
        return list(dict.fromkeys(filter(None, map(str.strip, given))))[:n]

    def _ask(
        self, asked: Sequence[Conversation], kind: type[StrictAnswer]
    ) -> list[ConversationResult]:
        answers = ask_until_usable(self._asker, asked, kind, self._attempts)
        for answer in answers:
            (asked_for, given), (prompt_tokens, tokens) = self.tokens, answer.tokens
            self.tokens = asked_for + prompt_tokens, given + tokens
        return answers


def _places(answer: _Ranked | None, n: int) -> tuple[int, ...]:
    """The distinct places 0 .. n - 1 that an answer names."""
    if answer is None:
        return ()
    words = (str(word).strip().rstrip(".") for word in answer.ranking)
    numbers = [int(word) for word in words if word.isascii() and word.isdigit()]
    return tuple(dict.fromkeys(number - 1 for number in numbers if 1 <= number <= n))


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _joined(tasks: Sequence[RankTask]) -> str:
    return "\n\n".join(task.text() for task in tasks)
