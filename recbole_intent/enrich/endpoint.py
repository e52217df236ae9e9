"""Requests to one endpoint, and replies that are read as if a stranger had sent them.

A reply is bounded: in bytes as they come, in bytes once they are unpacked, and in seconds from the
first byte of the request to the last of the reply. It is followed nowhere, and leaves no cookie.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

from recbole_intent.enrich.replies import one_line
from recbole_intent.enrich.sources import RequestFailed, TryAgain
from recbole_intent.errors import UserError

_CONNECT_SECONDS = 10.0
_SHORTEST_SECRET = 8  # `EMPTY` or `ollama`, the keys of local servers, are words and no secrets
_PACKED = ("gzip", "x-gzip", "deflate")  # what `zlib` unpacks, with a limit
_EITHER_HEADER = zlib.MAX_WBITS | 32  # of gzip or of zlib


@dataclass(frozen=True)
class HttpReply:
    """A whole reply.

    Attributes:
        status: 100 to 999.
        headers: their names are of lower case.
        content: bytes of the body, unpacked.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class HttpEndpoint:
    """Posts JSON to the paths of a base URL.

    Proxies and certificates are those of the environment (`HTTPS_PROXY`, `SSL_CERT_FILE` …).

    Args:
        base_url: without a slash at its end.
        headers: sent with each request.
        timeout: seconds for a request with its reply.
        max_bytes: of a body, as it comes and unpacked.
        secret: a part of the headers that replies and errors are not to repeat: it becomes ***.

    Raises:
        UserError: the package `httpx2` is missing, or the URL or the environment cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        timeout: float,
        max_bytes: int,
        secret: str = "",
    ) -> None:
        try:
            import httpx2
        except ImportError as error:
            hint = "is not installed (extra llm): pip install httpx2"
            raise UserError(f"{error.name}: {hint}") from error
        self._base_url = base_url
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._secret = secret if len(secret) >= _SHORTEST_SECRET else ""
        try:
            httpx2.URL(base_url)
        except httpx2.InvalidURL as error:
            raise UserError(f"llm.base_url: {base_url!r}: {error}") from None
        try:
            self._client = httpx2.AsyncClient(
                # Not packed: a small body must not grow when it is unpacked.
                headers={"Accept-Encoding": "identity", "User-Agent": "recbole_intent", **headers},
                timeout=httpx2.Timeout(timeout, connect=_CONNECT_SECONDS),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
            # Not the error's words: a proxy's address may hold a password.
            raise UserError(
                "the environment's HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY or SSL_CERT_FILE "
                f"cannot be used ({type(error).__name__}); correct or unset it"
            ) from None

    async def post(self, path: str, body: Mapping[str, Any]) -> HttpReply:
        """Send a request and read the whole reply, whatever its status.

        Raises:
            TryAgain: nothing listens there, the connection broke, or the reply cannot be read.
            RequestFailed: the reply is too long.
        """
        import httpx2

        # ASCII: half a surrogate pair, which a text of a user may hold, can be sent as well.
        content = json.dumps(body).encode("ascii")
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(path, content)
        except (TryAgain, RequestFailed):
            raise
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            words = f"nothing answers there ({self._words(error)})"
            reason = f"{self._base_url}: {words}; fix llm.base_url or start the server"
            raise TryAgain(reason, "no connection", is_absent=True) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise TryAgain(f"no answer within {self._timeout:g} s", "time-out") from None
        except httpx2.TransportError as error:
            reason = f"the connection broke ({self._words(error)})"
            raise TryAgain(reason, "broken connection") from None
        except Exception as error:  # noqa: BLE001 (no reply may end the run, however it is made)
            name = type(error).__name__
            raise TryAgain(f"the reply cannot be read ({name})", "unreadable reply") from None

    async def _exchange(self, path: str, content: bytes) -> HttpReply:
        request = self._client.build_request(
            "POST",
            self._base_url + path,
            content=content,
            headers={"Content-Type": "application/json"},
        )
        response = await self._client.send(request, stream=True)
        try:
            packing = response.headers.get("content-encoding", "").strip().lower()
            async with aclosing(response.aiter_raw()) as parts:
                content = await self._whole(parts, packing)
            if self._secret:
                content = content.replace(self._secret.encode(), b"***")
            headers = {k.lower(): self.without_secret(v) for k, v in response.headers.items()}
            return HttpReply(response.status_code, headers, content)
        finally:
            await response.aclose()

    async def _whole(self, parts: AsyncIterator[bytes], packing: str) -> bytes:
        if packing not in ("", "identity", *_PACKED):
            raise TryAgain(
                f"the reply is packed as {packing[:40]!r}, which was not asked for",
                "unreadable reply",
            )
        unpacker = zlib.decompressobj(_EITHER_HEADER) if packing in _PACKED else None
        pieces, left, raw_left = [], self._max_bytes, self._max_bytes
        async for part in parts:
            raw_left -= len(part)
            # One more byte than may be is enough to know that it is too long.
            piece = unpacker.decompress(part, left + 1) if unpacker else part
            left -= len(piece)
            if left < 0 or raw_left < 0:
                reason = f"the answer is longer than {self._max_bytes:,} bytes"
                raise RequestFailed(reason, "too long")
            pieces.append(piece)
        if unpacker and not unpacker.eof:
            raise TryAgain("the packed reply is cut off", "unreadable reply")
        return b"".join(pieces)

    def without_secret(self, text: str) -> str:
        """The text, with *** where the secret was."""
        return text.replace(self._secret, "***") if self._secret else text

    def _words(self, error: Exception) -> str:
        return self.without_secret(one_line(str(error))) or type(error).__name__

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
