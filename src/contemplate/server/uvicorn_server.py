"""The server on a loopback port, until a signal stops it."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import FrameType

import anyio
import uvicorn

from ..contemplator import Contemplator
from ..errors import ConfigurationError
from ..models import Model, resolve
from ..models.redaction import redact
from ..modes import Mode
from ..prompts import DEFAULTS, Prompts
from .app import build_app, keep_connections
from .asgi_run import ActiveRuns
from .model_names import Minds
from .served import LESS_EFFORT, Served, SmallCalls

# For responses that cannot be sent because the client does not read them.
SECONDS_TO_STOP = 5
MAX_PORT = 65_535

_MODES: dict[str, Mode] = {
    "contemplate": "contemplating",
    "contemplate-auto": "auto",
    "contemplate-thinking": "thinking",
    "contemplate-instant": "instant",
}
# What clients ask for that know Anthropic's models only: for small things a small one.
_ALIASES = {"claude-*haiku*": "contemplate-instant", "claude-*": "contemplate"}
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve(
    model: str | Model | None = None,
    host: str = "127.0.0.1",
    port: int = 8400,
    *,
    prompts: Prompts = DEFAULTS,
    allow_remote: bool = False,
    announce: Callable[[str], None] = _print_line,
) -> None:
    """Serve `model` in each mode, until SIGINT or SIGTERM. Runs that are going on then are cancelled.

    The models are called "contemplate", "contemplate-auto", "contemplate-thinking" and "contemplate-instant". Names of
    Anthropic's models stand for the first and, if they are small, for the last.

    Args:
        model: the model, or its name, as for `Contemplator`.
        host: the IP address to listen on, or "localhost".
        port: the port; 0 for a free one.
        prompts: prompts of your own, as for `Contemplator`.
        allow_remote: lets `host` be an address that others can reach. There is no authentication: whoever reaches the
            server can use the model at your cost.
        announce: is told, in one line, the URL, once requests are answered. By default the line is printed.

    Raises:
        ConfigurationError: the host is not a loopback address, the port is taken, or the model cannot be set up.
    """
    check_address(host, port, allow_remote=allow_remote)
    found = resolve(model)
    minds = {name: Contemplator(found, mode=mode, prompts=prompts) for name, mode in _MODES.items()}
    minds |= {pattern: minds[name] for pattern, name in _ALIASES.items()}
    with closing(_listen(host, port, allow_remote)) as listener:
        line = f"Serving at {_url(listener)}/v1 as {', '.join(_MODES)}, on {redact(found.name)}. Ctrl-C stops it."
        hosts = None if allow_remote else (*_LOOPBACK_NAMES, host)
        anyio.run(_serve, minds, listener, hosts, lambda: announce(line))


async def _serve(
    minds: Minds, listener: socket.socket, hosts: tuple[str, ...] | None, on_start: Callable[[], None]
) -> None:
    runs, served = ActiveRuns(), Served(minds, LESS_EFFORT, SmallCalls())
    config = uvicorn.Config(
        build_app(served, runs, allowed_hosts=hosts),
        # Entered here instead: an error then comes out as it is, and not as a traceback in a log.
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_STOP,
    )
    async with keep_connections(served):
        await _Server(config, runs, on_start).serve(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, runs: ActiveRuns, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._runs = runs
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # First of all: uvicorn waits until every request is answered.
        self._runs.stop()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own raises the signal again when all is over, and so ends the process instead of returning.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def check_address(host: str, port: int, *, allow_remote: bool = False) -> IPv4Address | IPv6Address:
    """Return the address of `host`, if it may be listened on.

    Raises:
        ConfigurationError: `host` is not an IP address, others can reach it and that is not allowed, or `port` is not a
            port.
    """
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ConfigurationError(f"{host!r} is not an IP address to listen on", hint="use 127.0.0.1") from None
    if not allow_remote and not address.is_loopback:
        raise ConfigurationError(
            f"{host!r} can be reached from other machines, and the server has no authentication: "
            "whoever reaches it can use the model at your cost",
            hint="use 127.0.0.1 with a proxy that knows your users before it; only a program may allow others in, with "
            "contemplate.server.serve(allow_remote=True)",
        )
    if not 0 <= port <= MAX_PORT:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}", hint=f"a port is at most {MAX_PORT}; 0 is a free one"
        )
    return address


def _listen(host: str, port: int, allow_remote: bool) -> socket.socket:
    address = check_address(host, port, allow_remote=allow_remote)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        return socket.create_server((str(address), port), family=family)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}", hint="choose another port") from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
