"""HTTP endpoint whose replies are treated as untrusted input.

A reply is limited in bytes as received, in bytes after decompression, and in seconds from the
first byte of the request to the last byte of the reply. Redirects and cookies are ignored.
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

from recbole_intent.llm.replies import one_line
from recbole_intent.llm.sources import RequestFailed, TryAgain
from recbole_intent.utils.errors import UserError

_CONNECT_SECONDS = 10.0
_SHORTEST_SECRET = 8  # `EMPTY` or `ollama`, the keys of local servers, are not secrets
_PACKED = ("gzip", "x-gzip", "deflate")  # what `zlib` decompresses, with a limit
_EITHER_HEADER = zlib.MAX_WBITS | 32  # of gzip or of zlib


@dataclass(frozen=True)
class HttpReply:
    """A complete HTTP reply.

    Attributes:
        status: 100 to 999.
        headers: with lower-case names.
        content: bytes of the decompressed body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class HttpEndpoint:
    """Posts JSON to the paths of a base URL.

    Proxies and certificates come from the environment (`HTTPS_PROXY`, `SSL_CERT_FILE` …).

    Args:
        base_url: URL without a trailing slash.
        headers: sent with each request.
        timeout: seconds for a request and its reply.
        max_bytes: maximum body size, both as received and decompressed.
        secret: a part of the headers, replaced by *** wherever replies or errors repeat it.

    Raises:
        UserError: the package `httpx2` is missing, or the URL or the environment is invalid.
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
                # No compression: a small body must not expand.
                headers={"Accept-Encoding": "identity", "User-Agent": "recbole_intent", **headers},
                timeout=httpx2.Timeout(timeout, connect=_CONNECT_SECONDS),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
            # Omit the error's text: a proxy's address may contain a password.
            raise UserError(
                "the environment's HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY or SSL_CERT_FILE "
                f"cannot be used ({type(error).__name__}); correct or unset it"
            ) from None

    async def post(self, path: str, body: Mapping[str, Any]) -> HttpReply:
        """Send a request and read the whole reply, regardless of its status.

        Raises:
            TryAgain: nothing listens there, the connection broke, or the reply is unreadable.
            RequestFailed: the reply is too long.
        """
        import httpx2

        # ASCII, so that lone surrogates in user texts can be sent as well.
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
        except Exception as error:  # noqa: BLE001 (no reply, however malformed, may end the run)
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
            # One byte above the limit is enough to know that the reply is too long.
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
        """Replace the secret in a text by ***."""
        return text.replace(self._secret, "***") if self._secret else text

    def _words(self, error: Exception) -> str:
        return self.without_secret(one_line(str(error))) or type(error).__name__

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
