"""The `Transport` protocol, which posts requests to one address, and its library-independent errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from .profile import Api


@dataclass(frozen=True, slots=True)
class Stream:
    """A response whose body can be read piece by piece."""

    content_type: str
    pieces: AsyncIterator[bytes]


class Transport(Protocol):
    """A client that posts requests, and keeps connections for them.

    Its methods, and the pieces of a stream, raise a `TransportFailure`. `key` is the API key.
    """

    async def post(self, body: bytes, key: str, api: Api = "chat") -> bytes:
        """Return the whole response to `body`."""
        ...

    def stream(self, body: bytes, key: str, api: Api = "chat") -> AbstractAsyncContextManager[Stream]:
        """Yield the response to `body` as it arrives; leaving the block ends it."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class TransportFailure(Exception):
    """There is no complete response. `__cause__` is the HTTP library's error, if it raised one."""


class NotConnected(TransportFailure):
    """The connection to the server could not be made."""


class ConnectionLost(TransportFailure):
    """The connection broke off."""


class Redirected(TransportFailure):
    """The response redirects the request to a `place` where it must not go; `hint` says why."""

    def __init__(self, status: int, place: str, hint: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.place = place
        self.hint = hint


class BadStatus(TransportFailure):
    """The response has an error status. Its body is not in the message, as it may repeat secrets."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body
