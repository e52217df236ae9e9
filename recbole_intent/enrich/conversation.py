"""Conversations that repeat a request with feedback until the answer is usable."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recbole_intent.enrich.prompts import Prompt, prompt
from recbole_intent.llm.answers import MalformedAnswer, parse_answer
from recbole_intent.llm.asking import Asker
from recbole_intent.llm.client import Answer, ChatRequest
from recbole_intent.llm.schemas import form_of
from recbole_intent.llm.sources import RequestFailed

_NO_ANSWER = "(no answer)"  # some endpoints refuse an empty message


@dataclass(frozen=True)
class Manner:
    """Sampling settings of all requests.

    Attributes:
        temperature: >= 0.
        max_tokens: maximum length of an answer.
        seed: seed of the model's sampling.
    """

    temperature: float
    max_tokens: int
    seed: int


class Conversation:
    """The messages so far and the schema of the answer.

    Args:
        first: prompt of the first request.
        schema: JSON schema of the answer.
        manner: sampling settings.
        values: values for the prompt's placeholders.
    """

    def __init__(
        self, first: Prompt, schema: dict[str, Any], manner: Manner, **values: object
    ) -> None:
        self.schema = schema
        self._manner = manner
        self._tag = first.tag
        self._messages = first.messages(form=form_of(schema), **values)

    def request(self) -> ChatRequest:
        """The next request."""
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
        """Append an answer and the feedback on it: a prompt name and its placeholder values."""
        asked = prompt(feedback)
        answered = {"role": "assistant", "content": answer.strip() or _NO_ANSWER}
        messages = asked.messages(form=form_of(self.schema), **values)
        self._messages = (*self._messages, answered, *messages)


@dataclass(frozen=True)
class ConversationResult:
    """The result of a conversation.

    Attributes:
        value: the parsed answer; None if there is no usable one.
        problem: why there is none.
        tokens: (prompt, completion) tokens of all its answers.
    """

    value: Any
    problem: str
    tokens: tuple[int, int]


def ask_until_usable(
    asker: Asker, conversations: Sequence[Conversation], kind: type, attempts: int
) -> list[ConversationResult]:
    """Run conversations whose answers only need to match the schema.

    Args:
        asker: sends the requests.
        conversations: run in parallel.
        kind: pydantic model of the answers.
        attempts: maximum number of requests per conversation.

    Returns:
        The results, in the order of `conversations`.
    """
    results: list[ConversationResult] = [
        ConversationResult(None, "", (0, 0)) for _ in conversations
    ]
    open_ones = list(range(len(conversations)))
    for _ in range(attempts):
        answers = asker.ask_all([conversations[i].request() for i in open_ones])
        still_open = []
        for i, answer in zip(open_ones, answers, strict=True):
            results[i] = _one_step(conversations[i], kind, results[i], answer)
            if results[i].value is None and isinstance(answer, Answer):
                still_open.append(i)
        open_ones = still_open
    return results


def _one_step(
    conversation: Conversation,
    kind: type,
    before: ConversationResult,
    answer: Answer | RequestFailed,
) -> ConversationResult:
    if isinstance(answer, RequestFailed):
        return ConversationResult(None, answer.kind, before.tokens)
    tokens = add_tokens(before.tokens, answer)
    try:
        return ConversationResult(parse_answer(answer.text, kind), "", tokens)
    except MalformedAnswer as problem:
        conversation.correct(answer.text, "malformed", problem=problem)
        return ConversationResult(None, "malformed answers", tokens)


def add_tokens(tokens: tuple[int, int], answer: Answer) -> tuple[int, int]:
    """Add the (prompt, completion) tokens of one more answer."""
    return tokens[0] + answer.prompt_tokens, tokens[1] + answer.completion_tokens
