"""Requests with aiohttp, which takes a third of the time that httpx2 does. Only for asyncio, and without a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import aiohttp
from yarl import URL

from .address import Address
from .connection import Connection
from .connection_settings import IDLE_SECONDS, most_connections
from .profile import Api
from .redirects import redirect_target
from .transport import BadStatus, ConnectionLost, NotConnected, Stream, TransportFailure


class AiohttpTransport:
    """A `Transport` for asyncio."""

    def __init__(self, address: Address, connection: Connection) -> None:
        self._connection = connection
        self._urls = {api: URL(url, encoded=True) for api, url in address.urls.items()}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=most_connections(),
                keepalive_timeout=IDLE_SECONDS,
                ssl=connection.tls() if self._urls["chat"].scheme == "https" else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=address.headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connection.connect_timeout),
        )

    async def post(self, body: bytes, key: str, api: Api = "chat") -> bytes:
        """Return the whole response to `body`."""
        async with await self._send(body, key, api) as response:
            return await _read(response)

    @asynccontextmanager
    async def stream(self, body: bytes, key: str, api: Api = "chat") -> AsyncIterator[Stream]:
        """Yield the response to `body` as it arrives."""
        async with await self._send(body, key, api) as response:
            if response.status // 100 != 2:
                await _read(response)
            yield Stream(response.content_type, _Pieces(response.content))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _send(self, body: bytes, key: str, api: Api) -> aiohttp.ClientResponse:
        url, headers = self._urls[api], self._connection.with_key({}, key)
        for followed in count():
            try:
                response = await self._session.post(url, data=body, headers=headers, allow_redirects=False)
            except (aiohttp.ClientError, OSError) as error:
                raise _failure(error) from error
            if response.status // 100 != 3:
                return response
            response.close()
            url = URL(redirect_target(response.status, response.headers, str(url), followed), encoded=True)
        raise AssertionError("the number of redirects is bounded")


class _Pieces:
    """The body of a response as it arrives. aiohttp's own iterator would raise aiohttp's errors."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from error
        if not piece:
            raise StopAsyncIteration
        return piece


async def _read(response: aiohttp.ClientResponse) -> bytes:
    try:
        body = await response.read()
    except (aiohttp.ClientError, OSError) as error:
        raise _failure(error) from error
    if response.status // 100 != 2:
        raise BadStatus(response.status, response.headers, body)
    return body


def _failure(error: Exception) -> TransportFailure:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NotConnected()
    return ConnectionLost()
