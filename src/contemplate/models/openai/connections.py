"""One transport, with its connections, for each account and event loop, open while it is in use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import sniffio

from ..per_loop import PerLoop
from ..proxies import proxy_for
from .connection_settings import CLOSE_SECONDS
from .endpoint import Endpoint
from .transport import Transport


@dataclass(slots=True)
class _Shared:
    transport: Transport
    users: int = 0


_open: PerLoop[dict[Endpoint, _Shared]] = PerLoop("openai_connections", dict)


@asynccontextmanager
async def connected(account: Endpoint) -> AsyncIterator[Transport]:
    """Yield the transport for `account` in this event loop; the last user to leave closes it."""
    transports = _open.here()
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


def _new_transport(account: Endpoint) -> Transport:
    from .address import address_of

    address, connection = address_of(account), account.connection
    proxy = None if connection.client is not None else proxy_for(account.base_url, connection.proxy)
    if proxy is None and connection.client is None and aiohttp_fits():
        from .aiohttp_transport import AiohttpTransport

        return AiohttpTransport(address, connection)
    from .httpx_transport import HttpxTransport

    return HttpxTransport(address, connection, proxy)


def aiohttp_fits() -> bool:
    """Return whether calls can use aiohttp, which is the usual case: on asyncio."""
    return sniffio.current_async_library() == "asyncio"
