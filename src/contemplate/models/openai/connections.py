"""One transport, and so one set of connections, for each account and event loop, open while somebody needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.request import getproxies

import anyio
import sniffio
from anyio.lowlevel import RunVar

from .account import Account
from .connection_settings import CLOSE_SECONDS
from .transport import Transport


@dataclass(slots=True)
class _Shared:
    transport: Transport
    users: int = 0


# An event loop of its own has connections of its own: sharing them across loops fails in ways that are hard to read.
_open: RunVar[dict[Account, _Shared]] = RunVar("contemplate_openai_connections")


@asynccontextmanager
async def connected(account: Account) -> AsyncIterator[Transport]:
    """Give the transport of `account` in this event loop; the last one to leave closes it."""
    transports = _open.get(None)
    if transports is None:
        transports = {}
        _open.set(transports)
    shared = transports.get(account)
    if shared is None:
        shared = transports[account] = _Shared(_new_transport(account))
    shared.users += 1
    try:
        yield shared.transport
    finally:
        shared.users -= 1
        if shared.users == 0:
            del transports[account]
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await shared.transport.aclose()


def _new_transport(account: Account) -> Transport:
    from .address import address_of

    address = address_of(account)
    if aiohttp_fits():
        from .aiohttp_transport import AiohttpTransport

        return AiohttpTransport(address)
    from .httpx_transport import HttpxTransport

    return HttpxTransport(address)


def aiohttp_fits() -> bool:
    """Return whether calls can go over aiohttp, as they usually do: on asyncio, and where there are no proxies."""
    return sniffio.current_async_library() == "asyncio" and not set(getproxies()) - {"no"}
