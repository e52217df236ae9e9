"""What a source of answers is: a request, a completion, and the ways in which it can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from recbole_intent.files import fingerprint

_MOST_TOKENS = 10**8  # of one request or answer: no context is as long


@dataclass(frozen=True)
class ChatRequest:
    """One question to a chat model.

    Attributes:
        messages: `{"role": …, "content": …}`, the oldest first.
        schema: JSON schema of the wanted answer; None for plain text.
        temperature: >= 0.
        max_tokens: longest answer, in tokens.
        seed: of the model's sampling; None leaves it to the source.
        tag: name and version of the prompt, such as `item_features@3f2a`. It is a part of the
            request's key: a changed prompt is a new question even where its text is the same.
    """

    messages: tuple[dict[str, str], ...]
    schema: dict[str, Any] | None = None
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int | None = None
    tag: str = ""


@dataclass(frozen=True)
class Completion:
    """What a source answered: the text as it came, and the tokens that it cost."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


def token_count(value: Any) -> int:
    """A number of tokens that somebody else counted; 0 where it cannot be one.

    Args:
        value: anything: a server may send texts, fractions, or numbers that no file can hold.
    """
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value <= _MOST_TOKENS else 0


class Source(Protocol):
    """Where answers come from: an endpoint, or a model in this process.

    Attributes:
        name: of the kind of source, such as `openai`; a part of every request's key.
        model: likewise, so that another model is asked anew.
    """

    name: str
    model: str

    async def complete(self, request: ChatRequest) -> Completion:
        """Ask once; the caller repeats.

        Raises:
            TryAgain: it failed now and may succeed later.
            RequestFailed: this request cannot succeed; others may.
            UserError: no request can: a wrong key, address or model.
        """
        ...

    async def close(self) -> None:
        """Free connections or the model; nothing is asked after it."""
        ...


class RequestFailed(Exception):
    """A request without an answer, which fails its own task alone.

    Args:
        reason: one line for the person who reads the report.
        kind: a few words that stand for all failures of this sort, such as `HTTP 500`.
    """

    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind or reason


class TryAgain(Exception):
    """A failure that may pass: an overloaded server, a broken connection, half an answer.

    Args:
        reason, kind: as of `RequestFailed`.
        after: seconds that the server asked to wait before anything is asked again.
        is_absent: nothing listens there, or it sends all requests elsewhere: most likely a wrong
            address.
    """

    def __init__(
        self, reason: str, kind: str, *, after: float | None = None, is_absent: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.after = after
        self.is_absent = is_absent


def request_key(source: Source, request: ChatRequest) -> str:
    """The name of an answer in the cache: 64 hexadecimal digits.

    It depends on the kind of source, the model, the parameters, the prompt and the schema; not on
    the address, so that an endpoint may move and keep its answers. Give another model another name.
    """
    return fingerprint(
        [
            source.name,
            source.model,
            [request.temperature, request.max_tokens, request.seed],
            request.tag,
            list(request.messages),
            request.schema,
        ]
    )
