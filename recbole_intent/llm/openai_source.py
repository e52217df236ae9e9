"""Source for endpoints with the OpenAI protocol: OpenAI, vLLM, Ollama, llama.cpp."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from recbole_intent.llm.dialect import SCHEMA_STYLES, Dialect
from recbole_intent.llm.endpoint import HttpEndpoint
from recbole_intent.llm.replies import (
    NoCompletion,
    Refused,
    completion_of,
    error_of,
    failure_of,
)
from recbole_intent.llm.sources import ChatRequest, Completion, TryAgain
from recbole_intent.utils.errors import UserError

_HOST = "api.openai.com"  # and its regions: eu.api.openai.com
_OPENAI = f"https://{_HOST}/v1"
# Billing headers for keys that belong to several organizations; sent to OpenAI only.
_OF_OPENAI = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
_PAUSE = 0.5  # seconds before a server error is attributed to the schema style


class OpenAISource:
    """Chat completions over HTTP.

    Args:
        model: the endpoint's name of the model.
        base_url: such as `http://127.0.0.1:8000/v1`; None: OpenAI.
        api_key_env: environment variable that holds the key; None: no key (for OpenAI:
            `OPENAI_API_KEY`). The key exists only in memory and in requests. Other endpoints get
            `OPENAI_API_KEY` only if it is named here, and never get `OPENAI_ORG_ID` or
            `OPENAI_PROJECT_ID`; other `OPENAI_` variables are not read.
        timeout: seconds per try; an incomplete answer by then is a failed try.
        max_bytes: a longer answer is abandoned while it is read.

    Raises:
        UserError: a missing variable, an invalid URL, or the package `httpx2` is missing.
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
        is_openai = _is_openai(self.base_url)
        self._key_env = api_key_env or ("OPENAI_API_KEY" if is_openai else None)
        self._key = _key_of(self._key_env) if self._key_env else ""
        headers = {"Authorization": f"Bearer {self._key or 'none'}"}
        if is_openai:
            extra = {name: _from_environment(v) for name, v in _OF_OPENAI.items()}
            headers |= {name: value for name, value in extra.items() if value}
        self._endpoint = HttpEndpoint(
            self.base_url, headers, timeout=timeout, max_bytes=max_bytes, secret=self._key
        )
        # OpenAI's newer models accept only the new name, local servers often only the old one.
        self._dialect = Dialect(limit="max_completion_tokens" if is_openai else "max_tokens")
        self._is_style_known = False
        self._styles_tried = asyncio.Event()  # cleared while a request tries them
        self._styles_tried.set()

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """The JSON body of a request, in the endpoint's dialect as far as known."""
        return self._dialect.body(self.model, request)

    async def complete(self, request: ChatRequest) -> Completion:
        """Send a request once; if the endpoint rejects its form, send it in another form.

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
                return await self._in_other_styles(request, error)
            if self._styles_tried.is_set():
                return await self._in_any_style(request)
            await self._styles_tried.wait()
            if not self._is_style_known:
                raise
            return await self._send(request)
        self._is_style_known = True
        return completion

    async def _in_any_style(self, request: ChatRequest) -> Completion:
        """After HTTP 500, retry (the server may be in trouble), then try the other styles.

        Only one request at a time does this.
        """
        self._styles_tried.clear()
        try:
            await asyncio.sleep(_PAUSE)
            completion = await self._send(request)
            self._is_style_known = True
            return completion
        except (Refused, TryAgain) as error:
            if not _may_be_the_style(error):
                raise
            return await self._in_other_styles(request, error)
        finally:
            self._styles_tried.set()

    async def _in_other_styles(self, request: ChatRequest, last: Exception) -> Completion:
        """Try the less strict schema styles and keep the first that the endpoint accepts."""
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
        raise last  # the style was not the cause

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
                if self._dialect == dialect:  # else another request has changed it
                    self._dialect = changed

    async def _post(self, body: dict[str, Any]) -> Completion:
        reply = await self._endpoint.post("/chat/completions", body)
        # Again after JSON is parsed, where the key may have been escaped (\\u0073k-…).
        without_key = self._endpoint.without_secret
        if not 200 <= reply.status < 300:
            said = error_of(reply.content)
            said["message"] = without_key(said["message"])
            raise failure_of(
                reply.status,
                said,
                reply.headers,
                url=self.base_url,
                model=self.model,
                key_env=self._key_env,
            )
        try:
            completion = completion_of(reply.content)
        except NoCompletion as error:
            raise TryAgain(without_key(f"the answer {error}"), "no completion") from None
        return replace(completion, text=without_key(completion.text))

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()


def _may_be_the_style(error: Refused | TryAgain) -> bool:
    # llama-cpp-python's server answers HTTP 500 to an unknown style.
    return isinstance(error, Refused) or (error.kind == "HTTP 500" and error.after is None)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_good = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
        if host.isascii():
            host.encode("idna")
    except ValueError:  # such as a non-numeric port or an invalid host name
        is_good = False
    if not is_good:
        raise UserError("llm.base_url: must be like http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise UserError(
            "llm.base_url: no password and no ?key=… in it: it is written to reports; name the "
            "environment variable that holds the key in llm.api_key_env"
        )
    return url.rstrip("/")


def _is_openai(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and (host == _HOST or host.endswith(f".{_HOST}"))


def _key_of(variable: str) -> str:
    key = _from_environment(variable)
    if not key:
        raise UserError(
            f"llm.api_key_env: the environment variable {variable} is not set: it is to hold the "
            "key of the endpoint"
        )
    return key


def _from_environment(variable: str) -> str:
    """The value of a variable, valid in a header; empty if it is not set."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UserError(f"environment variable {variable}: has characters that no key has")
    return key
