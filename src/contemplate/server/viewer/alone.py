"""The viewer as a server of its own, on loopback, for whoever has the key in its address."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from secrets import token_urlsafe
from types import FrameType

import anyio
import uvicorn
from starlette.applications import Starlette

from ...errors import ConfigurationError
from ..active_runs import ActiveRuns
from ..app import exception_handlers, middleware_of
from ..metrics import ServerMetrics
from ..settings import ClientKey, ServerSettings
from ..uvicorn_connections import guarded
from .routes import ViewerRoutes
from .shown_runs import ShownRuns

HOST = "127.0.0.1"
SECONDS_TO_STOP = 1


def new_key() -> str:
    """Return a new key for a viewer: 256 random bits."""
    return token_urlsafe(32)


def viewer_app(shown: ShownRuns, key: str, port: int) -> Starlette:
    """Return an application that shows runs to whoever has the key."""
    settings = viewer_settings(key, port)
    routes = ViewerRoutes(shown, settings).routes
    metrics = ServerMetrics(ActiveRuns(), routes, str)
    return Starlette(
        routes=routes, middleware=middleware_of(settings, metrics), exception_handlers=exception_handlers()
    )


def viewer_settings(key: str, port: int) -> ServerSettings:
    """Return what such a server allows: one key, and no other name than its own, so that no name leads elsewhere."""
    return ServerSettings(keys=(ClientKey("viewer", key),), allowed_hosts=(HOST, "localhost"), max_body_bytes=2**20)


def serve_viewer(shown: ShownRuns, port: int, place: str, announce: Callable[[str], None]) -> None:
    """Show runs until SIGINT or SIGTERM.

    Args:
        shown: the runs.
        port: the port; 0 for a free one.
        place: what is shown first, such as "/runs/4f0c" or "" for the list.
        announce: is told the address, with the key, once requests are answered.

    Raises:
        ConfigurationError: the port is taken.
    """
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {HOST}:{port}: {error}", hint="choose another --port") from None
    with closing(listener):
        found, key = listener.getsockname()[1], new_key()
        # After the "#": what stands there is not sent to any server, and so in no log.
        address = f"http://{HOST}:{found}/#key={key}{place and f'&to={place}'}"
        anyio.run(_serve, shown, key, found, listener, lambda: announce(address))


async def _serve(shown: ShownRuns, key: str, port: int, listener: socket.socket, on_start: Callable[[], None]) -> None:
    config = uvicorn.Config(
        viewer_app(shown, key, port),
        http=guarded(viewer_settings(key, port)),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_STOP,
    )
    await _Server(config, shown, on_start).serve(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, shown: ShownRuns, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._shown = shown
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # First of all: uvicorn waits until every request is answered.
        await self._shown.end()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own raises the signal again when all is over, and so ends the process instead of returning.
        self.should_exit = True
