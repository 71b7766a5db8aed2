"""One endpoint, and so one pool of connections, for each account and event loop, open while somebody needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.request import getproxies

import anyio
import sniffio
from anyio.lowlevel import RunVar

from ..redaction import shown_url

if TYPE_CHECKING:
    from .endpoint import Endpoint

CLOSE_SECONDS = 1.0
# Many servers hang up on a connection that was idle for five seconds, and a request on its way then is lost.
IDLE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Account:
    """Where calls go and who pays for them."""

    base_url: str
    api_key: str

    @property
    def place(self) -> str:
        """The URL as it may be shown."""
        return shown_url(self.base_url)

    def __repr__(self) -> str:
        return f"Account({self.place!r})"


@dataclass(slots=True)
class _Shared:
    endpoint: Endpoint
    users: int = 0


# An event loop of its own has connections of its own: sharing them across loops fails in ways that are hard to read.
_open: RunVar[dict[Account, _Shared]] = RunVar("contemplate_openai_endpoints")


@asynccontextmanager
async def endpoint_of(account: Account) -> AsyncIterator[Endpoint]:
    """The endpoint of `account` in this event loop; the last one to leave closes it."""
    endpoints = _open.get(None)
    if endpoints is None:
        endpoints = {}
        _open.set(endpoints)
    shared = endpoints.get(account)
    if shared is None:
        shared = endpoints[account] = _Shared(_new_endpoint(account))
    shared.users += 1
    try:
        yield shared.endpoint
    finally:
        shared.users -= 1
        if shared.users == 0:
            del endpoints[account]
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await shared.endpoint.aclose()


def _new_endpoint(account: Account) -> Endpoint:
    import openai

    from .endpoint import TIMEOUT, Address, trusted
    from .on_httpx2 import Httpx2Endpoint, UsualEndpoint

    http = openai.DefaultAsyncHttpxClient(timeout=TIMEOUT, verify=trusted())
    address = Address.of(openai.AsyncOpenAI(api_key=account.api_key, base_url=account.base_url, http_client=http))
    usual = UsualEndpoint(address, http)
    if set(getproxies()) - {"no"}:
        return usual
    if on_asyncio_with_aiohttp():
        from .on_aiohttp import AiohttpEndpoint

        return AiohttpEndpoint(address)
    return Httpx2Endpoint(address, usual)


def on_asyncio_with_aiohttp() -> bool:
    """Whether aiohttp is installed, and works here."""
    return sniffio.current_async_library() == "asyncio" and find_spec("aiohttp") is not None
