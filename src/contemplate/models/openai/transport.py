"""What a transport is: it posts requests to one address, and tells in neutral errors what went wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stream:
    """A response whose body can be read piece by piece."""

    content_type: str
    pieces: AsyncIterator[bytes]


class Transport(Protocol):
    """What posts requests, and keeps connections for them.

    Its methods, and the pieces of a stream, raise a `TransportFailure`.
    """

    async def post(self, body: bytes) -> bytes:
        """Return the whole response to `body`."""
        ...

    def stream(self, body: bytes) -> AbstractAsyncContextManager[Stream]:
        """Give the response to `body` as it comes; leaving the block ends it."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class TransportFailure(Exception):
    """There is no whole response. The cause is the error of the library that posted the request, if it had one."""


class NotConnected(TransportFailure):
    """There was no connection to the server."""


class ConnectionLost(TransportFailure):
    """The connection broke off."""


class BadStatus(TransportFailure):
    """The response is not a success. Its body is left out of the error's text, as it may repeat secrets."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body
