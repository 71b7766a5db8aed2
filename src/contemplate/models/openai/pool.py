"""One client, and so one pool of connections, for each account and event loop, open while somebody needs it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import sniffio
from anyio.lowlevel import RunVar

if TYPE_CHECKING:
    import httpx2
    import openai

CONNECT_SECONDS = 30.0
CLOSE_SECONDS = 1.0
# The default of 1,000 fails a wave of more calls than that; None means 100 to the aiohttp transport.
MAX_CONNECTIONS = 100_000
# httpx2's pool looks at every idle connection on every request, so many of them cost more than they save.
MAX_IDLE_CONNECTIONS = 200

# All up to the last "@" before the path; a password may hold one.
_USER = re.compile(r"(?<=://)[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Account:
    """Where calls go and who pays for them."""

    base_url: str
    api_key: str

    @property
    def place(self) -> str:
        """The URL as it may be shown."""
        return shown(self.base_url)

    def __repr__(self) -> str:
        return f"Account({self.place!r})"


def shown(url: str) -> str:
    """`url` without what may be secret in it: the user's name and password, and the query."""
    address, mark, model = url.partition("#")
    # By hand: a URL that cannot be parsed is shown as well, in the error that says so.
    return without_passwords(address.partition("?")[0]) + mark + model


def without_passwords(text: str) -> str:
    """`text`, with the user's name and password left out of every URL in it."""
    return _USER.sub("", text)


@dataclass(slots=True)
class _Shared:
    client: openai.AsyncOpenAI
    users: int = 0


# An event loop of its own has connections of its own: sharing them across loops fails in ways that are hard to read.
_open_clients: RunVar[dict[Account, _Shared]] = RunVar("contemplate_openai_clients")


@asynccontextmanager
async def client_for(account: Account) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client of `account` in this event loop; the last one to leave closes it."""
    clients = _open_clients.get(None)
    if clients is None:
        clients = {}
        _open_clients.set(clients)
    shared = clients.get(account)
    if shared is None:
        shared = clients[account] = _Shared(_new_client(account))
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if shared.users == 0:
            del clients[account]
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await shared.client.close()


def _new_client(account: Account) -> openai.AsyncOpenAI:
    import httpx2
    import openai

    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE_CONNECTIONS)
    # No bound on the wait for a connection: that is what `Limits.concurrency` is for.
    timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
    return openai.AsyncOpenAI(
        api_key=account.api_key,
        base_url=account.base_url,
        max_retries=0,
        timeout=timeout,
        http_client=_http_client(limits, timeout),
    )


def _http_client(limits: httpx2.Limits, timeout: httpx2.Timeout) -> httpx2.AsyncClient:
    import openai

    if sniffio.current_async_library() == "asyncio" and _has_aiohttp():
        import httpx2

        unlimited = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        return openai.DefaultAioHttpClient(limits=unlimited, timeout=timeout)
    return openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout)


def _has_aiohttp() -> bool:
    from importlib.util import find_spec

    return find_spec("aiohttp") is not None
