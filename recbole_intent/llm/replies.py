"""Interpretation of an endpoint's replies as an answer or a kind of failure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from recbole_intent.llm.answers import whole_text
from recbole_intent.llm.retry import retry_after
from recbole_intent.llm.sources import Completion, RequestFailed, TryAgain, token_count
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import printable

_LONGEST_MESSAGE = 300  # characters of a server's error message
_MOST_DIGITS = 18  # of an integer
_TEMPORARY = (408, 409, 425, 429)


class NoCompletion(ValueError):
    """A body that is not a chat completion; the message says why."""


class Refused(RequestFailed):
    """HTTP 4xx for the request itself.

    Args:
        reason, kind: as in `RequestFailed`.
        option: the request option that the endpoint names as the cause.
    """

    def __init__(self, reason: str, kind: str, option: str | None) -> None:
        super().__init__(reason, kind)
        self.option = option


def completion_of(content: bytes | str | dict[str, Any]) -> Completion:
    """Read the first choice of a chat completion, or the refusal text if it has no content.

    Args:
        content: the raw body (UTF-8, regardless of its headers), or the result of `read_json`.

    Raises:
        NoCompletion: the body is not JSON, has no such choice, or reports an error.
    """
    body = content if isinstance(content, dict) else read_json(content)
    if not isinstance(body, dict):
        raise NoCompletion("is not a JSON object")
    if body.get("error"):  # some gateways report errors with HTTP 200
        raise NoCompletion(f"reports an error: {one_line(words_of(body['error']))}")
    match body.get("choices"):
        case [{"message": dict(message)}, *_] if message:
            text = _text_of(message)
        case _:
            raise NoCompletion("has no choices")
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    asked, given = (token_count(counts.get(f"{of}_tokens")) for of in ("prompt", "completion"))
    return Completion(whole_text(text), asked, given)


def _text_of(message: dict[str, Any]) -> str:
    content, refusal = message.get("content"), message.get("refusal")
    for text in (content, refusal):
        if isinstance(text, str):
            return text
    if content is None and refusal is None:
        return ""  # all tokens went into thinking: paid for, so it counts as an answer
    raise NoCompletion("has a message that is not text")


def read_json(content: bytes | str) -> Any:
    """Parse untrusted JSON in UTF-8, skipping a byte-order mark.

    An integer of more than 18 digits, which no valid count has, is read as a float.

    Raises:
        NoCompletion: the content is not UTF-8, not JSON, cut off, or nested too deeply.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        return json.loads(text, strict=False, parse_int=_number)
    except UnicodeDecodeError as error:
        raise NoCompletion(f"is not UTF-8 (byte {error.start})") from None
    except (ValueError, RecursionError):
        raise NoCompletion(f"is not complete JSON: {text[:40]!r}") from None


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def words_of(error: Any) -> str:
    """The message in a server's error, given as the body's `error` or the whole body."""
    try:
        return str(error["message"] if isinstance(error, dict) and "message" in error else error)
    except RecursionError:
        return "(nested too deeply to be shown)"


def one_line(text: str) -> str:
    """Format a server's message for printing: one line, cut if it is long."""
    line = " ".join(printable(text).split())
    return line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + "…"


def error_of(content: bytes) -> dict[str, Any]:
    """Read message, code and param from the body of an HTTP error.

    Args:
        content: OpenAI's form, `{"error": …}`, or any other bytes, which become the message.
    """
    try:
        body = read_json(content)
    except NoCompletion:
        body = content.decode("utf-8", "replace")
    error = body.get("error") or body if isinstance(body, dict) else body
    details = error if isinstance(error, dict) else {}
    named = {name: details.get(name) for name in ("code", "param")}
    texts = {name: value if isinstance(value, str) else None for name, value in named.items()}
    return {"message": words_of(error), **texts}


def failure_of(
    status: int,
    error: Mapping[str, Any],
    headers: Any,
    *,
    url: str,
    model: str,
    key_env: str | None,
) -> Exception:
    """Build the exception for an HTTP status other than 2xx.

    Args:
        status: HTTP status of the reply.
        error: message, code and param; code and param may be None.
        headers: headers of the reply, for Retry-After and Location.
        url, model, key_env: named in the message if the user can correct them.

    Returns:
        UserError if no request can succeed, TryAgain if this one may succeed later, else Refused.
    """
    message, kind, code = one_line(error["message"]), f"HTTP {status}", error["code"]
    if 300 <= status < 400:
        # Redirects are never followed: prompts must not go to an address the user did not give.
        place = one_line(headers.get("location") or "another place, which it does not name")
        hint = "redirects are not followed; if it is the right place, give it as llm.base_url"
        reason = f"{url}: sends requests on to {place} ({kind}); {hint}"
        return TryAgain(reason, kind, is_absent=True)
    if status in (401, 403):
        where = f"environment variable {key_env}" if key_env else "llm.api_key_env is not given"
        return UserError(f"{url}: refuses the key ({where}): {kind}: {message}")
    if status == 402 or code == "insufficient_quota":
        return UserError(f"{url}: the account is used up: {kind}: {message}")
    if status in (404, 405) or code == "model_not_found":
        hint = "correct llm.model or llm.base_url"
        return UserError(f"{url}: unknown model {model!r} or address: {kind}: {message}; {hint}")
    if status in _TEMPORARY or not 400 <= status < 500:
        after = retry_after(headers.get("retry-after"))
        return TryAgain(f"{kind}: {message}", kind, after=after)
    return Refused(f"{kind}: {message}", kind, error["param"])
