"""Requests on aiohttp, which takes a third of the time that httpx2 does. Knows no trio, and is asked for no proxies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import httpx2
from yarl import URL

from .endpoint import CONNECT_SECONDS, Address, Stream, broken_off, most_connections, refused, trusted
from .pool import IDLE_SECONDS

_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)


class AiohttpEndpoint:
    """An `Endpoint` for asyncio."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._url = URL(address.url, encoded=True)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=most_connections(),
                keepalive_timeout=IDLE_SECONDS,
                ssl=trusted() if self._url.scheme == "https" else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=address.headers,
            timeout=_NO_LIMIT,
        )

    async def post(self, body: bytes) -> bytes:
        """The whole response to `body`."""
        with _known(self._address):
            async with self._session.post(self._url, data=body) as response:
                return await self._read(response)

    @asynccontextmanager
    async def stream(self, body: bytes) -> AsyncIterator[Stream]:
        """The response to `body` as it comes."""
        with _known(self._address):
            async with self._session.post(self._url, data=body) as response:
                if not response.ok:
                    await self._read(response)
                yield Stream(response.content_type, response.content.iter_any())

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        said = await response.read()
        if not response.ok:
            raise refused(self._address, response.status, response.headers, said)
        return said


@contextmanager
def _known(address: Address) -> Iterator[None]:
    """Errors of aiohttp as those of httpx2, which the `openai` package knows."""
    with broken_off(address):
        try:
            yield
        except aiohttp.ClientConnectorError as error:
            raise httpx2.ConnectError(str(error)) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx2.ConnectTimeout(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx2.ReadError(str(error) or type(error).__name__) from error
