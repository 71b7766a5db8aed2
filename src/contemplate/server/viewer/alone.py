"""The viewer as a server of its own, on loopback, for whoever has the key in its address."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from secrets import token_urlsafe

import anyio
from starlette.applications import Starlette

from ..active_runs import ActiveRuns
from ..announced_server import AnnouncedServer, listen
from ..app import exception_handlers, middleware_of
from ..metrics import ServerMetrics
from ..settings import ClientKey, ServerSettings
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
    with closing(listen(HOST, port)) as listener:
        found, key = listener.getsockname()[1], new_key()
        # After the "#": what stands there is not sent to any server, and so in no log.
        address = f"http://{HOST}:{found}/#key={key}{place and f'&to={place}'}"
        server = _Server(shown, key, found, lambda: announce(address))
        anyio.run(server.serve, [listener])


class _Server(AnnouncedServer):
    def __init__(self, shown: ShownRuns, key: str, port: int, on_start: Callable[[], None]) -> None:
        app, settings = viewer_app(shown, key, port), viewer_settings(key, port)
        super().__init__(app, settings, on_start, seconds_to_stop=SECONDS_TO_STOP)
        self._shown = shown

    async def end(self) -> None:
        await self._shown.end()
