"""The way of a request to its server and back, once the `openai` package has said where to, and with which headers.

It says so once for an account. To have it make every request anew takes several times as long as all the rest of a
call: options are copied, headers merged and URLs parsed that are always the same.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Protocol

import httpx2
import openai

CONNECT_SECONDS = 30.0
# Far more than there are ports.
MAX_CONNECTIONS = 100_000
FILES_FOR_OTHERS = 64

# No bound on the wait for a connection: that is what `Limits.concurrency` is for.
TIMEOUT = httpx2.Timeout(None, connect=CONNECT_SECONDS)


@dataclass(frozen=True, slots=True)
class Address:
    """Where chat completions are asked for, and the headers that every request has."""

    url: str
    headers: dict[str, str]

    @classmethod
    def of(cls, client: openai.AsyncOpenAI) -> Address:
        """What `client` says."""
        said = {**client.default_headers, **client.auth_headers}
        headers = {name: value for name, value in said.items() if isinstance(value, str)}
        url = client.base_url.copy_with(path=f"{client.base_url.path}chat/completions")
        return cls(str(url), headers)


@dataclass(frozen=True, slots=True)
class Stream:
    """A response whose body can be read piece by piece."""

    content_type: str
    pieces: AsyncIterator[bytes]


class Endpoint(Protocol):
    """What posts requests, and keeps connections for them.

    Its methods raise `openai.APIStatusError` for a response that is no success, and `openai.APIConnectionError`, with
    the reason as its cause, if there is none.
    """

    async def post(self, body: bytes) -> bytes:
        """The whole response to `body`."""
        ...

    def stream(self, body: bytes) -> AbstractAsyncContextManager[Stream]:
        """The response to `body` as it comes; leaving the block ends it."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


def most_connections() -> int:
    """How many connections may be open at once: each is an open file, and the process may have only so many."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit.
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, files - max(FILES_FOR_OTHERS, files // 8)))


@cache
def trusted() -> SSLContext:
    """Whom to trust. Made once: it takes longer than a call."""
    return httpx2.create_ssl_context()


def refused(address: Address, status: int, headers: Mapping[str, str], body: bytes) -> openai.APIStatusError:
    """The error of the `openai` package for a response that is no success."""
    response = httpx2.Response(status, headers=headers, request=httpx2.Request("POST", address.url))
    return openai.APIStatusError(_message(body) or response.reason_phrase or "no success", response=response, body=None)


def _message(body: bytes) -> str | None:
    """What an error's body says: OpenAI's `{"error": {"message": ...}}`, or what others make of it."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    error = said.get("error", said) if isinstance(said, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return error if isinstance(error, str) else None


@contextmanager
def broken_off(address: Address) -> Iterator[None]:
    """Raise the error of the `openai` package where httpx2 has one of the connection."""
    try:
        yield
    except httpx2.TransportError as error:
        raise openai.APIConnectionError(request=httpx2.Request("POST", address.url)) from error
