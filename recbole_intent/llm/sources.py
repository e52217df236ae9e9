"""Source interface: requests, completions and the exceptions for failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from recbole_intent.utils.files import fingerprint

_MOST_TOKENS = 10**8  # of one request or answer; no context is that long


@dataclass(frozen=True)
class ChatRequest:
    """One request to a chat model.

    Attributes:
        messages: `{"role": …, "content": …}`, oldest first.
        schema: JSON schema of the answer; None for plain text.
        temperature: >= 0.
        max_tokens: maximum length of the answer, in tokens.
        seed: seed of the model's sampling; None leaves it to the source.
        tag: name and version of the prompt, such as `item_features@3f2a`. It is part of the
            request's key, so a changed prompt is a new request even if its text is the same.
    """

    messages: tuple[dict[str, str], ...]
    schema: dict[str, Any] | None = None
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int | None = None
    tag: str = ""


@dataclass(frozen=True)
class Completion:
    """A source's answer: the raw text and the tokens it cost."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


def token_count(value: Any) -> int:
    """Validate a token count reported by a server; 0 if it is invalid.

    Args:
        value: anything: a server may send texts, fractions, or numbers too large to store.
    """
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value <= _MOST_TOKENS else 0


class Source(Protocol):
    """Interface of answer sources: an endpoint, or a model in this process.

    Attributes:
        name: kind of source, such as `openai`; part of every request's key.
        model: name of the model; also part of the key, so another model gets new requests.
    """

    name: str
    model: str

    async def complete(self, request: ChatRequest) -> Completion:
        """Send a request once; the caller retries.

        Raises:
            TryAgain: the request failed and may succeed later.
            RequestFailed: this request cannot succeed; others may.
            UserError: no request can succeed: a wrong key, address or model.
        """
        ...

    async def close(self) -> None:
        """Free connections or the model; no requests may follow."""
        ...


class RequestFailed(Exception):
    """A request without an answer, which fails only its own task.

    Args:
        reason: one line for the report.
        kind: short name of this kind of failure, such as `HTTP 500`.
    """

    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind or reason


class TryAgain(Exception):
    """A temporary failure: an overloaded server, a broken connection, an incomplete answer.

    Args:
        reason, kind: as in `RequestFailed`.
        after: seconds that the server asked to wait before the next request.
        is_absent: nothing listens there, or all requests are redirected: most likely a wrong
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
    """Compute the cache key of a request: 64 hexadecimal digits.

    The key depends on the kind of source, the model name, the parameters, the prompt and the
    schema. It does not depend on the address, so an endpoint may move and keep its answers; give
    different models different names.
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
