"""Requests on httpx2, as the `openai` package comes: on every event loop, and through proxies."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import httpx2

from .endpoint import TIMEOUT, Address, Stream, broken_off, most_connections, refused, trusted
from .pool import CLOSE_SECONDS, IDLE_SECONDS

_ONE = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS)


class UsualEndpoint:
    """An `Endpoint` that posts with `http`, as anyone would: it knows proxies and redirects."""

    def __init__(self, address: Address, http: httpx2.AsyncClient) -> None:
        self._address = address
        self._http = http

    async def post(self, body: bytes) -> bytes:
        """The whole response to `body`."""
        with broken_off(self._address):
            return await _read(self._address, await self._http.send(self._request(body)))

    @asynccontextmanager
    async def stream(self, body: bytes) -> AsyncIterator[Stream]:
        """The response to `body` as it comes."""
        with broken_off(self._address):
            async with _streaming(self._address, await self._http.send(self._request(body), stream=True)) as stream:
                yield stream

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def _request(self, body: bytes) -> httpx2.Request:
        return self._http.build_request("POST", self._address.url, content=body, headers=self._address.headers)


class Httpx2Endpoint:
    """An `Endpoint` that leaves to `usual` only what is redirected.

    Each connection has a transport of its own, as one that holds many looks at all of them on every request.
    """

    def __init__(self, address: Address, usual: UsualEndpoint) -> None:
        self._address = address
        self._usual = usual
        self._url = httpx2.URL(address.url)
        self._headers = httpx2.Headers(address.headers)
        self._slots = anyio.Semaphore(most_connections(), fast_acquire=True)
        self._idle: deque[tuple[float, httpx2.AsyncHTTPTransport]] = deque()

    async def post(self, body: bytes) -> bytes:
        """The whole response to `body`."""
        with broken_off(self._address):
            async with self._line() as line:
                response = await line.handle_async_request(self._request(body))
                if not response.has_redirect_location:
                    return await _read(self._address, response)
                await response.aclose()
            return await self._usual.post(body)

    @asynccontextmanager
    async def stream(self, body: bytes) -> AsyncIterator[Stream]:
        """The response to `body` as it comes."""
        with broken_off(self._address):
            async with self._line() as line:
                response = await line.handle_async_request(self._request(body))
                if not response.has_redirect_location:
                    async with _streaming(self._address, response) as stream:
                        yield stream
                    return
                await response.aclose()
            async with self._usual.stream(body) as stream:
                yield stream

    async def aclose(self) -> None:
        """Close all connections."""
        while self._idle:
            await self._idle.pop()[1].aclose()
        await self._usual.aclose()

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[httpx2.AsyncHTTPTransport]:
        """A transport that nobody uses: the one that was used last, so that the others can be given up."""
        async with self._slots:
            line = self._idle.pop()[1] if self._idle else httpx2.AsyncHTTPTransport(verify=trusted(), limits=_ONE)
            try:
                yield line
            finally:
                now = anyio.current_time()
                self._idle.append((now, line))
                while self._idle[0][0] < now - IDLE_SECONDS:
                    _, longest = self._idle.popleft()
                    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                        await longest.aclose()

    def _request(self, body: bytes) -> httpx2.Request:
        return httpx2.Request(
            "POST", self._url, headers=self._headers, content=body, extensions={"timeout": TIMEOUT.as_dict()}
        )


async def _read(address: Address, response: httpx2.Response) -> bytes:
    try:
        said = await response.aread()
    except BaseException:
        await _close(response)
        raise
    if not response.is_success:
        raise refused(address, response.status_code, response.headers, said)
    return said


@asynccontextmanager
async def _streaming(address: Address, response: httpx2.Response) -> AsyncIterator[Stream]:
    pieces = response.aiter_bytes()
    try:
        if not response.is_success:
            raise refused(address, response.status_code, response.headers, await response.aread())
        yield Stream(response.headers.get("content-type", ""), pieces)
    finally:
        await _close(response)
        # httpx2's generators do not close each other; stepped on once closed, each comes to its own end.
        with anyio.move_on_after(CLOSE_SECONDS, shield=True), suppress(Exception):
            async for _ in pieces:
                pass


async def _close(response: httpx2.Response) -> None:
    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
        await response.aclose()
