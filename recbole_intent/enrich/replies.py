"""What an endpoint's reply means: an answer, or which of the ways to fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from recbole_intent.enrich.answers import whole_text
from recbole_intent.enrich.retry import retry_after
from recbole_intent.enrich.sources import Completion, RequestFailed, TryAgain
from recbole_intent.errors import UserError

_LONGEST_MESSAGE = 300  # characters of what a server says of its error
_TEMPORARY = (408, 409, 425, 429)


class NoCompletion(ValueError):
    """A body that is no chat completion; its message says why."""


class Refused(RequestFailed):
    """HTTP 4xx for the request itself.

    Args:
        reason, kind: as of `RequestFailed`.
        option: the option of the request that the endpoint names as the cause.
    """

    def __init__(self, reason: str, kind: str, option: str | None) -> None:
        super().__init__(reason, kind)
        self.option = option


def completion_of(content: str | dict[str, Any]) -> Completion:
    """The first choice of a chat completion's body; a refusal's words where there is no text.

    Raises:
        NoCompletion: it is not JSON, or has no such choice, or tells an error.
    """
    body = _json(content) if isinstance(content, str) else content
    if not isinstance(body, dict):
        raise NoCompletion("is no JSON object")
    if body.get("error"):  # some gateways tell it with HTTP 200
        raise NoCompletion(f"tells an error: {one_line(words_of(body['error']))}")
    match body.get("choices"):
        case [{"message": {"content": str(text)}}, *_]:
            pass
        case [{"message": {"refusal": str(text)}}, *_]:
            pass
        case [{"message": {}}, *_]:
            text = ""  # all tokens were spent on thoughts: paid for, so it counts as an answer
        case _:
            raise NoCompletion("has no choices")
    match body.get("usage"):
        case {"prompt_tokens": int(asked), "completion_tokens": int(given)}:
            return Completion(whole_text(text), asked, given)
    return Completion(whole_text(text))


def _json(content: str) -> Any:
    try:
        return json.loads(content, strict=False)
    except (ValueError, RecursionError):
        raise NoCompletion(f"is no whole JSON: {content[:40]!r}") from None


def words_of(error: Any) -> str:
    """What a server says of an error, which is the body's `error` or the whole body."""
    return str(error["message"] if isinstance(error, dict) and "message" in error else error)


def one_line(text: str) -> str:
    """The text without line breaks, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + "…"


def failure_of(
    status: int,
    error: Mapping[str, Any],
    headers: Any,
    *,
    url: str,
    model: str,
    key_env: str | None,
) -> Exception:
    """The exception for an HTTP status of 3xx, 4xx or 5xx.

    Args:
        error: message, code and param, each of which but the first may be None.
        headers: of the reply, for Retry-After.
        url, model, key_env: named where the user can mend them.

    Returns:
        UserError where no request can succeed, TryAgain where this one may later, else Refused.
    """
    message, kind, code = one_line(error["message"]), f"HTTP {status}", error["code"]
    if status in (401, 403):
        where = f"environment variable {key_env}" if key_env else "llm.api_key_env is not given"
        return UserError(f"{url}: refuses the key ({where}): {kind}: {message}")
    if status == 402 or code == "insufficient_quota":
        return UserError(f"{url}: the account is used up: {kind}: {message}")
    if status in (404, 405) or code == "model_not_found":
        hint = "mend llm.model or llm.base_url"
        return UserError(f"{url}: unknown model {model!r} or address: {kind}: {message}; {hint}")
    if status in _TEMPORARY or status >= 500:
        after = retry_after(headers.get("retry-after"))
        return TryAgain(f"{kind}: {message}", kind, after=after)
    return Refused(f"{kind}: {message}", kind, error["param"])
