"""Requests on httpx2, as the `openai` package comes: on every event loop, and through proxies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import httpx2

from .endpoint import Address, Stream, broken_off, refused
from .pool import CLOSE_SECONDS


class Httpx2Endpoint:
    """An `Endpoint` that posts with `http`."""

    def __init__(self, address: Address, http: httpx2.AsyncClient) -> None:
        self._address = address
        self._http = http
        self._url = httpx2.URL(address.url)

    async def post(self, body: bytes) -> bytes:
        """The whole response to `body`."""
        with broken_off(self._address):
            response = await self._http.send(self._request(body))
            if not response.is_success:
                raise refused(self._address, response.status_code, response.headers, response.content)
            return response.content

    @asynccontextmanager
    async def stream(self, body: bytes) -> AsyncIterator[Stream]:
        """The response to `body` as it comes."""
        with broken_off(self._address):
            response = await self._http.send(self._request(body), stream=True)
            pieces = response.aiter_bytes()
            try:
                if not response.is_success:
                    raise refused(self._address, response.status_code, response.headers, await response.aread())
                yield Stream(response.headers.get("content-type", ""), pieces)
            finally:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    await response.aclose()
                    # httpx2's generators do not close each other; stepped on once closed, each comes to its own end.
                    with suppress(Exception):
                        async for _ in pieces:
                            pass

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def _request(self, body: bytes) -> httpx2.Request:
        return self._http.build_request("POST", self._url, content=body, headers=self._address.headers)
