"""Answers from any endpoint of the OpenAI protocol: OpenAI, vLLM, Ollama, llama.cpp."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from recbole_intent.enrich.dialect import SCHEMA_STYLES, Dialect
from recbole_intent.enrich.replies import (
    NoCompletion,
    Refused,
    completion_of,
    failure_of,
    words_of,
)
from recbole_intent.enrich.sources import ChatRequest, Completion, RequestFailed, TryAgain
from recbole_intent.errors import UserError

_OPENAI = "https://api.openai.com/v1"
_CONNECT_SECONDS = 10.0
_SHORTEST_SECRET = 8  # `EMPTY` or `ollama`, the keys of local servers, are words and no secrets
_PAUSE = 0.5  # seconds before a server's error is believed to be about the style


class OpenAISource:
    """Chat completions over HTTP.

    Args:
        model: as the endpoint calls it.
        base_url: such as `http://127.0.0.1:8000/v1`; OpenAI's own if None.
        api_key_env: environment variable that holds the key; None for an endpoint without one
            (OpenAI itself: `OPENAI_API_KEY`). The key is in memory and in requests alone.
        timeout: seconds for a try: an answer that is not whole by then is a failed try.
        max_bytes: an answer longer than this is given up while it is being read.

    Raises:
        UserError: no such variable, a URL that cannot be, or the package `openai` is missing.
    """

    name = "openai"

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key_env: str | None = None,
        *,
        timeout: float = 120.0,
        max_bytes: int = 2_000_000,
    ) -> None:
        if not model:
            raise UserError("llm.model: is missing: the model's name at the endpoint")
        self.model = model
        self.base_url = _checked_url(base_url or _OPENAI)
        is_openai = self.base_url == _OPENAI
        self._key_env = api_key_env or ("OPENAI_API_KEY" if is_openai else None)
        self._key = _key_of(self._key_env) if self._key_env else ""
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._client = self._make_client()
        # OpenAI's newer models know the new name alone, local servers often the old one alone.
        self._dialect = Dialect(limit="max_completion_tokens" if is_openai else "max_tokens")
        self._is_style_known = False
        self._styles_tried = asyncio.Event()  # not set while a request tries them
        self._styles_tried.set()

    def _make_client(self) -> Any:
        try:
            import httpx2
            import openai
        except ImportError as error:
            hint = "is not installed (extra llm): pip install openai"
            raise UserError(f"{error.name}: {hint}") from error

        class Bounded(httpx2.AsyncByteStream):
            """The bytes of a reply, of an error too, up to a limit."""

            def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
                self._stream, self._left = stream, limit

            async def __aiter__(self) -> AsyncIterator[bytes]:
                async for part in self._stream:
                    self._left -= len(part)
                    if self._left < 0:
                        raise _TooLong
                    yield part

            async def aclose(self) -> None:
                await self._stream.aclose()

        async def bound(response: httpx2.Response) -> None:
            response.stream = Bounded(response.stream, self._max_bytes)

        return openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self.base_url,
            max_retries=0,  # the caller's, who knows of the other requests
            timeout=httpx2.Timeout(self._timeout, connect=_CONNECT_SECONDS),
            # Not packed: a small body must not grow past the limit when it is unpacked.
            default_headers={"Accept-Encoding": "identity"},
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"response": [bound]}),
        )

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """The JSON body of a request, in what is known of the endpoint's dialect."""
        return self._dialect.body(self.model, request)

    async def complete(self, request: ChatRequest) -> Completion:
        """Ask once; an endpoint that refuses the form of a question is asked in another.

        Raises: as `Source.complete`.
        """
        if request.schema is None or self._is_style_known:
            return await self._send(request)
        try:
            completion = await self._send(request)
        except (Refused, TryAgain) as error:
            if not _may_be_the_style(error):
                raise
            if isinstance(error, Refused):
                return await self._in_other_styles(request)
            if self._styles_tried.is_set():
                return await self._in_any_style(request)
            await self._styles_tried.wait()
            if not self._is_style_known:
                raise
            return await self._send(request)
        self._is_style_known = True
        return completion

    async def _in_any_style(self, request: ChatRequest) -> Completion:
        """After HTTP 500, by one request at a time: the server may as well be in trouble."""
        self._styles_tried.clear()
        try:
            await asyncio.sleep(_PAUSE)
            completion = await self._send(request)
            self._is_style_known = True
            return completion
        except (Refused, TryAgain) as error:
            if not _may_be_the_style(error):
                raise
            return await self._in_other_styles(request)
        finally:
            self._styles_tried.set()

    async def _in_other_styles(self, request: ChatRequest) -> Completion:
        """Ask in the laxer ways to tell a schema; the first that is understood stays."""
        last: Exception | None = None
        for style in SCHEMA_STYLES[1:]:
            try:
                completion = await self._send(request, style)
            except (Refused, TryAgain) as error:
                if not _may_be_the_style(error):
                    raise
                last = error
            else:
                if not self._is_style_known:
                    self._dialect = replace(self._dialect, style=style)
                    self._is_style_known = True
                return completion
        raise last  # it was not the style

    async def _send(self, request: ChatRequest, style: str | None = None) -> Completion:
        while True:
            dialect = self._dialect
            asked_in = replace(dialect, style=style or dialect.style)
            try:
                return await self._post(asked_in.body(self.model, request))
            except Refused as error:
                changed = dialect.without(error.option)
                if changed is None:
                    raise
                if self._dialect == dialect:  # else another request has changed it meanwhile
                    self._dialect = changed

    async def _post(self, body: dict[str, Any]) -> Completion:
        """One request over the wire; nothing is raised from the SDK's errors: they hold the key."""
        import httpx2
        import openai

        try:
            async with asyncio.timeout(self._timeout):
                # Not `chat.completions.create`: its checks of types are a sixth of the cost.
                reply = await self._client.post(
                    "/chat/completions", cast_to=httpx2.Response, body=body
                )
            completion = completion_of(self._without_key(reply.text))
        except TimeoutError:
            raise TryAgain(f"no answer within {self._timeout:g} s", "time-out") from None
        except _TooLong:
            reason = f"the answer is longer than {self._max_bytes:,} bytes"
            raise RequestFailed(reason, "too long") from None
        except NoCompletion as error:
            reason = self._without_key(f"the answer {error}")
            raise TryAgain(reason, "no completion") from None
        except openai.APIStatusError as error:
            raise self._failure(error) from None
        except openai.APIConnectionError as error:
            raise self._broken(error) from None
        return replace(completion, text=self._without_key(completion.text))

    def _failure(self, error: Any) -> Exception:
        said = {
            "message": self._without_key(words_of(error.body or error.response.text)),
            "code": error.code,
            "param": self._without_key(str(error.param)),
        }
        where = {"url": self.base_url, "model": self.model, "key_env": self._key_env}
        return failure_of(error.status_code, said, error.response.headers, **where)

    def _broken(self, error: Any) -> TryAgain:
        import httpx2

        cause = error.__cause__
        words = self._without_key(" ".join(str(cause).split())) or type(cause).__name__
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
            reason = f"{self.base_url}: nothing answers there ({words}); mend llm.base_url"
            return TryAgain(f"{reason} or start the server", "no connection", is_absent=True)
        if isinstance(cause, httpx2.TimeoutException):
            return TryAgain(f"no answer within {self._timeout:g} s", "time-out")
        return TryAgain(f"the connection broke ({words})", "broken connection")

    def _without_key(self, text: str) -> str:
        # Servers repeat the key in their errors; one that repeats it in an answer is not excluded.
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST_SECRET else text

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class _TooLong(Exception):
    pass


def _may_be_the_style(error: Refused | TryAgain) -> bool:
    # llama-cpp-python's server answers HTTP 500 to a style that it does not know.
    return isinstance(error, Refused) or (error.kind == "HTTP 500" and error.after is None)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as a port that is no number
        is_good = False
    if not is_good:
        raise UserError("llm.base_url: must be like http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise UserError(
            "llm.base_url: no password and no ?key=… in it: it is written to reports; name the "
            "environment variable that holds the key in llm.api_key_env"
        )
    return url.rstrip("/")


def _key_of(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"llm.api_key_env: the environment variable {variable} is not set: it is to hold the "
            "key of the endpoint"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UserError(f"environment variable {variable}: has characters that no key has")
    return key
