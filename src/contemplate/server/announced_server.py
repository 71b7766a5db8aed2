"""uvicorn as all servers here start and end it: silent, within the process, on a socket that is there already."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from ..errors import ConfigurationError
from .settings import ServerSettings
from .uvicorn_connections import guarded

# Longer than clients keep idle connections: else one closes a connection while the other sends on it.
KEEP_ALIVE_SECONDS = 75


def listen(address: str, port: int, *, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """Return a socket that listens; whoever is too early only waits.

    Raises:
        ConfigurationError: the port is taken.
    """
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {address}:{port}: {error}", hint="choose another port") from None


class AnnouncedServer(uvicorn.Server):
    """uvicorn, which tells when it answers, and first of all ends what is going on when it stops.

    Args:
        app: the application, whose lifespan the caller enters: an error then comes out as it is, and not in a log.
        settings: the server's.
        on_start: is called once requests are answered.
        seconds_to_stop: how long it waits for responses whose clients do not read them.
    """

    def __init__(
        self, app: Starlette, settings: ServerSettings, on_start: Callable[[], None], *, seconds_to_stop: int
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=guarded(settings),
                lifespan="off",
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=seconds_to_stop,
            )
        )
        self._on_start = on_start

    async def end(self) -> None:
        """End what is going on: uvicorn waits until every request is answered."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and tell so."""
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        await self.end()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a signal. uvicorn's own raises it again when all is over, and so ends the process."""
        self.should_exit = True
