"""Requests with httpx2: on every event loop, and through a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import cast

import anyio
import httpx2

from .address import Address
from .connection import Connection
from .connection_settings import CLOSE_SECONDS, IDLE_SECONDS, most_connections
from .profile import Api
from .redirects import redirect_target
from .transport import BadStatus, ConnectionLost, NotConnected, Stream, TransportFailure

# As the `openai` package has it: httpx2 scans all of them on every request.
_MOST_CONNECTIONS = 1000


class HttpxTransport:
    """A `Transport` for any event loop, through `proxy` if there is one."""

    def __init__(self, address: Address, connection: Connection, proxy: str | None) -> None:
        self._address = address
        self._connection = connection
        # No timeout on the wait for a free connection: `Limits.concurrency` bounds the number of calls.
        self._timeout = httpx2.Timeout(None, connect=connection.connect_timeout)
        self._client = cast("httpx2.AsyncClient", connection.client or _new_client(connection, proxy))

    async def post(self, body: bytes, key: str, api: Api = "chat") -> bytes:
        """Return the whole response to `body`."""
        response = await self._send(body, key, api, stream=False)
        if not response.is_success:
            raise BadStatus(response.status_code, response.headers, response.content)
        return response.content

    @asynccontextmanager
    async def stream(self, body: bytes, key: str, api: Api = "chat") -> AsyncIterator[Stream]:
        """Yield the response to `body` as it arrives."""
        response = await self._send(body, key, api, stream=True)
        pieces = _pieces(response)
        try:
            if not response.is_success:
                error_body = b"".join([piece async for piece in pieces])
                raise BadStatus(response.status_code, response.headers, error_body)
            yield Stream(response.headers.get("content-type", ""), pieces)
        finally:
            await _close(response, pieces)

    async def aclose(self) -> None:
        """Close all connections, but for those of a client of the user's."""
        if self._client is not self._connection.client:
            await self._client.aclose()

    async def _send(self, body: bytes, key: str, api: Api, *, stream: bool) -> httpx2.Response:
        url, headers = self._address.urls[api], self._connection.with_key(self._address.headers, key)
        for followed in count():
            request = self._client.build_request("POST", url, content=body, headers=headers, timeout=self._timeout)
            try:
                response = await self._client.send(request, stream=stream, follow_redirects=False)
            except (httpx2.RequestError, OSError) as error:
                raise _failure(error) from error
            if response.status_code // 100 != 3:
                return response
            await _close(response, _pieces(response))
            url = redirect_target(response.status_code, response.headers, url, followed)
        raise AssertionError("the number of redirects is bounded")


def _new_client(connection: Connection, proxy: str | None) -> httpx2.AsyncClient:
    most = min(_MOST_CONNECTIONS, most_connections())
    limits = httpx2.Limits(max_connections=most, keepalive_expiry=IDLE_SECONDS)
    tls = connection.tls()
    through = httpx2.Proxy(proxy, ssl_context=tls) if proxy and proxy.lower().startswith("https:") else proxy
    # The client would read the environment differently, and refuse all calls for a proxy that it cannot use.
    return httpx2.AsyncClient(limits=limits, verify=tls, trust_env=False, proxy=through)


async def _pieces(response: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_bytes():
            yield piece
    except (httpx2.RequestError, OSError) as error:
        raise _failure(error) from error


async def _close(response: httpx2.Response, pieces: AsyncIterator[bytes]) -> None:
    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
        await response.aclose()
        # httpx2's generators do not close each other; iterating after the close ends each of them.
        with suppress(Exception):
            async for _ in pieces:
                pass


def _failure(error: httpx2.RequestError | OSError) -> TransportFailure:
    # A server that refuses a client's certificate after the handshake raises an `ssl.SSLError`, which is an OSError.
    return NotConnected() if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout) else ConnectionLost()
