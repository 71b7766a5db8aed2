"""Requests with the `openai` package's own httpx2 client: on every event loop, and through proxies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import httpx2
import openai

from .address import Address
from .connection_settings import CLOSE_SECONDS, CONNECT_SECONDS, IDLE_SECONDS, most_connections, trusted
from .transport import BadStatus, ConnectionLost, NotConnected, Stream, TransportFailure

# No timeout on the wait for a free connection: `Limits.concurrency` bounds the number of calls.
_TIMEOUT = httpx2.Timeout(None, connect=CONNECT_SECONDS)
# The package's own default: httpx2 scans all of them on every request.
_MOST_CONNECTIONS = 1000


class HttpxTransport:
    """A `Transport` for any event loop and any proxy."""

    def __init__(self, address: Address) -> None:
        self._address = address
        most = min(_MOST_CONNECTIONS, most_connections())
        limits = httpx2.Limits(max_connections=most, keepalive_expiry=IDLE_SECONDS)
        self._client = openai.DefaultAsyncHttpxClient(timeout=_TIMEOUT, limits=limits, verify=trusted())

    async def post(self, body: bytes) -> bytes:
        """Return the whole response to `body`."""
        try:
            response = await self._client.send(self._request(body))
        except httpx2.RequestError as error:
            raise _failure(error) from error
        if not response.is_success:
            raise BadStatus(response.status_code, response.headers, response.content)
        return response.content

    @asynccontextmanager
    async def stream(self, body: bytes) -> AsyncIterator[Stream]:
        """Yield the response to `body` as it arrives."""
        try:
            response = await self._client.send(self._request(body), stream=True)
        except httpx2.RequestError as error:
            raise _failure(error) from error
        pieces = _pieces(response)
        try:
            if not response.is_success:
                error_body = b"".join([piece async for piece in pieces])
                raise BadStatus(response.status_code, response.headers, error_body)
            yield Stream(response.headers.get("content-type", ""), pieces)
        finally:
            await _close(response, pieces)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _request(self, body: bytes) -> httpx2.Request:
        return self._client.build_request("POST", self._address.url, content=body, headers=self._address.headers)


async def _pieces(response: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_bytes():
            yield piece
    except httpx2.RequestError as error:
        raise _failure(error) from error


async def _close(response: httpx2.Response, pieces: AsyncIterator[bytes]) -> None:
    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
        await response.aclose()
        # httpx2's generators do not close each other; iterating after the close ends each of them.
        with suppress(Exception):
            async for _ in pieces:
                pass


def _failure(error: httpx2.RequestError) -> TransportFailure:
    return NotConnected() if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout) else ConnectionLost()
