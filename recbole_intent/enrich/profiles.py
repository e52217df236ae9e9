"""Three questions about an item or a user, each with the answers before it: Section 4.1, A.1.

Forward: who may like it; backward: who may not; fused: what it is. One that is not answered leaves
the item or user without a profile by the model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recbole_intent.enrich.asking import Asker
from recbole_intent.enrich.conversation import Conversation, Manner, Told, ask_until_usable
from recbole_intent.enrich.item_features import in_chunks
from recbole_intent.enrich.profile_answers import Description, description_schema
from recbole_intent.enrich.prompts import prompt
from recbole_intent.enrich.report import StepCounts

# The names of the prompts, in the order of asking.
QUESTIONS = {
    "item": ("item_forward", "item_backward", "item_fused"),
    "user": ("user_forward", "user_backward", "user_fused"),
}
Texts = tuple[str, str, str]  # positive, negative, fused


@dataclass(frozen=True)
class AskOptions:
    """How all items and users are asked about.

    Attributes:
        manner: of each request.
        domain: what prompts call the catalogue.
        attempts: at a question, at most.
        reason: ask for the reasoning, too.
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
        asker: what answers.
        kind: what is asked about.
        shown: what the prompt shows of each: fields of an item, lines of a user's items.
        options: how.
        counts: counted up.

    Yields:
        (positive, negative, fused) of each, in the order of `shown`; None where a question has
        no usable answer.
    """
    schema = description_schema(reason=options.reason)
    for chunk in in_chunks(shown, asker.at_once):
        said: list[dict[str, str]] = [{} for _ in chunk]
        ends = [Told(None, "", (0, 0))] * len(chunk)
        open_ones = list(range(len(chunk)))
        for name, part in zip(QUESTIONS[kind], ("positive", "negative", "fused"), strict=True):
            talks = [_talk(name, chunk[i], said[i], schema, options) for i in open_ones]
            told = ask_until_usable(asker, talks, Description, options.attempts)
            for i, end in zip(open_ones, told, strict=True):
                ends[i] = Told(end.value, end.problem, _sum(ends[i].tokens, end.tokens))
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
