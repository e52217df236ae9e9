"""Profiles of items and users from three consecutive questions (Section 4.1, A.1).

Each question includes the previous answers. Forward: who may like it; backward: who may not;
fused: what it is. If any question has no answer, the item or user gets no profile from the model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recbole_intent.enrich.conversation import (
    Conversation,
    ConversationResult,
    Manner,
    ask_until_usable,
)
from recbole_intent.enrich.item_features import in_chunks
from recbole_intent.enrich.profiles.answers import Description, description_schema
from recbole_intent.enrich.prompts import prompt
from recbole_intent.enrich.report import StepCounts
from recbole_intent.llm.asking import Asker

# Prompt names, in the order of the requests.
QUESTIONS = {
    "item": ("item_forward", "item_backward", "item_fused"),
    "user": ("user_forward", "user_backward", "user_fused"),
}
Texts = tuple[str, str, str]  # positive, negative, fused


@dataclass(frozen=True)
class AskOptions:
    """Settings of the questions about items and users.

    Attributes:
        manner: sampling settings of each request.
        domain: name of the catalogue in prompts.
        attempts: maximum number of attempts per question.
        reason: also ask for the reasoning.
    """

    manner: Manner
    domain: str
    attempts: int
    reason: bool


def ask_profiles(
    asker: Asker,
    kind: Literal["item", "user"],
    shown: Sequence[str],
    options: AskOptions,
    counts: StepCounts,
) -> Iterator[Texts | None]:
    """Ask about items or users.

    Args:
        asker: sends the requests.
        kind: whether `shown` describes items or users.
        shown: prompt text of each: fields of an item, or lines of a user's items.
        options: settings of the questions.
        counts: updated in place.

    Yields:
        (positive, negative, fused) of each, in the order of `shown`; None if a question has no
        usable answer.
    """
    schema = description_schema(reason=options.reason)
    for chunk in in_chunks(shown, asker.at_once):
        said: list[dict[str, str]] = [{} for _ in chunk]
        ends = [ConversationResult(None, "", (0, 0))] * len(chunk)
        open_ones = list(range(len(chunk)))
        for name, part in zip(QUESTIONS[kind], ("positive", "negative", "fused"), strict=True):
            talks = [_talk(name, chunk[i], said[i], schema, options) for i in open_ones]
            results = ask_until_usable(asker, talks, Description, options.attempts)
            for i, end in zip(open_ones, results, strict=True):
                ends[i] = ConversationResult(
                    end.value, end.problem, _sum(ends[i].tokens, end.tokens)
                )
                if end.value is not None:
                    said[i][part] = " ".join(end.value.description.split())
            open_ones = [i for i in open_ones if ends[i].value is not None]
        for i, end in enumerate(ends):
            counts.add(end.value is not None, end.problem, end.tokens)
            done = end.value is not None
            yield (said[i]["positive"], said[i]["negative"], said[i]["fused"]) if done else None


def _talk(
    name: str, shown: str, said: dict[str, str], schema: dict[str, Any], options: AskOptions
) -> Conversation:
    values = {"domain": options.domain, "shown": shown, **said}
    return Conversation(prompt(name), schema, options.manner, **values)


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]
