"""A question that is asked again, with what was wrong, until its answer can be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recbole_intent.enrich.answers import MalformedAnswer, parse_answer
from recbole_intent.enrich.asking import Asker
from recbole_intent.enrich.client import Answer, ChatRequest
from recbole_intent.enrich.prompts import Prompt, prompt
from recbole_intent.enrich.schemas import form_of
from recbole_intent.enrich.sources import RequestFailed

_NO_ANSWER = "(no answer)"  # some endpoints refuse an empty message


@dataclass(frozen=True)
class Manner:
    """How everything is asked.

    Attributes:
        temperature: >= 0.
        max_tokens: of an answer.
        seed: of the model's sampling.
    """

    temperature: float
    max_tokens: int
    seed: int


class Conversation:
    """Messages so far, and the form of the answer.

    Args:
        first: its prompt.
        schema: JSON schema of the answer.
        manner: how it is asked.
        values: what fills the prompt's gaps.
    """

    def __init__(
        self, first: Prompt, schema: dict[str, Any], manner: Manner, **values: object
    ) -> None:
        self.schema = schema
        self._manner = manner
        self._tag = first.tag
        self._messages = first.messages(form=form_of(schema), **values)

    def request(self) -> ChatRequest:
        """The next thing to ask."""
        manner = self._manner
        return ChatRequest(
            messages=self._messages,
            schema=self.schema,
            temperature=manner.temperature,
            max_tokens=manner.max_tokens,
            seed=manner.seed,
            tag=self._tag,
        )

    def correct(self, answer: str, feedback: str, **values: object) -> None:
        """Append an answer and what is wrong with it: a prompt and what fills its gaps."""
        asked = prompt(feedback)
        answered = {"role": "assistant", "content": answer.strip() or _NO_ANSWER}
        messages = asked.messages(form=form_of(self.schema), **values)
        self._messages = (*self._messages, answered, *messages)


@dataclass(frozen=True)
class Told:
    """The end of a conversation.

    Attributes:
        value: the parsed answer; None where there is no usable one.
        problem: why there is none.
        tokens: (prompt, completion) of all its answers.
    """

    value: Any
    problem: str
    tokens: tuple[int, int]


def ask_until_usable(
    asker: Asker, conversations: Sequence[Conversation], kind: type, attempts: int
) -> list[Told]:
    """Hold conversations whose answers need no more than the right form.

    Args:
        asker: what answers.
        conversations: side by side.
        kind: model class of the answers.
        attempts: how often each is asked at most.

    Returns:
        The ends, in the order of `conversations`.
    """
    told: list[Told] = [Told(None, "", (0, 0)) for _ in conversations]
    open_ones = list(range(len(conversations)))
    for _ in range(attempts):
        answers = asker.ask_all([conversations[i].request() for i in open_ones])
        still_open = []
        for i, answer in zip(open_ones, answers, strict=True):
            told[i] = _one_step(conversations[i], kind, told[i], answer)
            if told[i].value is None and isinstance(answer, Answer):
                still_open.append(i)
        open_ones = still_open
    return told


def _one_step(
    conversation: Conversation, kind: type, before: Told, answer: Answer | RequestFailed
) -> Told:
    if isinstance(answer, RequestFailed):
        return Told(None, answer.kind, before.tokens)
    tokens = add_tokens(before.tokens, answer)
    try:
        return Told(parse_answer(answer.text, kind), "", tokens)
    except MalformedAnswer as problem:
        conversation.correct(answer.text, "malformed", problem=problem)
        return Told(None, "malformed answers", tokens)


def add_tokens(tokens: tuple[int, int], answer: Answer) -> tuple[int, int]:
    """(prompt, completion) tokens with those of one more answer."""
    return tokens[0] + answer.prompt_tokens, tokens[1] + answer.completion_tokens
