"""The server on a loopback port, until a signal stops it."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

import anyio
from starlette.applications import Starlette

from ..contemplator import Contemplator
from ..errors import ConfigurationError
from ..models import Model, resolve
from ..modes import Mode
from ..prompts import DEFAULTS, Prompts
from ..redaction import redact
from ..views.printable import print_line
from .active_runs import ActiveRuns
from .announced_server import AnnouncedServer, listen
from .app import build_app, keep_open
from .effort import Served
from .offer import OfferedMinds, offered
from .runner import Runner
from .settings import ServerSettings

if TYPE_CHECKING:
    from ..journal import Journal

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


def serve(
    model: str | Model | None = None,
    host: str = "127.0.0.1",
    port: int = 8400,
    *,
    minds: OfferedMinds | None = None,
    workers: str | None = None,
    settings: ServerSettings = ServerSettings(),  # noqa: B008 - it is frozen
    prompts: Prompts = DEFAULTS,
    journal: str | Journal | None = None,
    allow_remote: bool = False,
    announce: Callable[[str], None] = print_line,
) -> None:
    """Serve `model` in each mode, or `minds`, until SIGINT or SIGTERM.

    The models are called "contemplate", "contemplate-auto", "contemplate-thinking" and "contemplate-instant". Names of
    Anthropic's models stand for the first and, if they are small, for the last. A SIGINT, or a second signal, cancels
    the runs that are going on. After a SIGTERM they have `settings.drain_seconds` to end.

    Args:
        model: the model, or its name, as for `Contemplator`.
        host: the IP address to listen on, or "localhost".
        port: the port; 0 for a free one.
        minds: contemplators of your own by name, in place of `model`, `prompts` and `journal`, as for `create_app`.
        workers: the journal on which workers carry out the runs of `minds`, as for `create_app`; this process does if
            None.
        settings: who may ask, how much, and how many at once.
        prompts: prompts of your own, as for `Contemplator`.
        journal: where runs are written down, as for `Contemplator`.
        allow_remote: lets `host` be an address that others can reach without keys. Whoever reaches the server can then
            use the model at your cost.
        announce: is told, in one line, the URL, once requests are answered. By default the line is printed.

    Raises:
        ConfigurationError: the host is not a loopback address and there are no keys, the port is taken, the model
            cannot be set up, or something cannot travel to workers.
    """
    if workers is not None and minds is None:
        raise ConfigurationError(
            "workers have contemplators of their own, and none is named", hint='minds={"mind": "app:mind"}'
        )
    open_to_all = allow_remote or bool(settings.keys)
    address = check_address(host, port, allow_remote=open_to_all)
    if minds is None:
        found = resolve(model)
        own = {name: Contemplator(found, mode=mode, prompts=prompts, journal=journal) for name, mode in _MODES.items()}
        minds = own | {pattern: own[name] for pattern, name in _ALIASES.items()}
    if address.is_loopback:
        hosts = (*_LOOPBACK_NAMES, host, *(settings.allowed_hosts or ()))
        settings = replace(settings, allowed_hosts=tuple(dict.fromkeys(hosts)))
    served, runner = offered(minds, settings, workers=workers)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with closing(listen(str(address), port, family=family)) as listener:
        models = ", ".join(dict.fromkeys(redact(mind.model.name) for mind in served.minds.values()))
        names = ", ".join(served.names)
        line = f"Serving at {_url(listener)}/v1 as {names}, on {models}. Ctrl-C stops it."

        def start() -> None:
            # What is there by now stays: it need not be looked through for garbage again and again.
            gc.collect()
            gc.freeze()
            announce(line)

        try:
            anyio.run(_serve, served, runner, settings, listener, start)
        finally:
            gc.unfreeze()


async def _serve(
    served: Served, runner: Runner, settings: ServerSettings, listener: socket.socket, on_start: Callable[[], None]
) -> None:
    runs = ActiveRuns(settings.max_runs, settings.max_queued, runner)
    app = build_app(served, settings, runs)
    async with keep_open(served, runs, app):
        await _Server(app, settings, on_start, runs).serve(sockets=[listener])


class _Server(AnnouncedServer):
    def __init__(
        self, app: Starlette, settings: ServerSettings, on_start: Callable[[], None], runs: ActiveRuns
    ) -> None:
        super().__init__(app, settings, on_start, seconds_to_stop=SECONDS_TO_STOP)
        self._runs = runs
        self._drain_seconds = settings.drain_seconds
        self._drained_at: float | None = None

    async def on_tick(self, counter: int) -> bool:
        if self._drained_at is not None and (not self._runs.active or monotonic() >= self._drained_at):
            self.should_exit = True
        return await super().on_tick(counter)

    async def end(self) -> None:
        self._runs.stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        if sig == signal.SIGTERM and self._runs.ready and self._drain_seconds:
            self._runs.drain()
            self._drained_at = monotonic() + self._drain_seconds
        else:
            super().handle_exit(sig, frame)


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
            f"{host!r} can be reached from other machines, and the server has no keys: "
            "whoever reaches it could use the model at your cost",
            hint="give it keys with --api-key NAME=SECRET or CONTEMPLATE_SERVER_KEYS, or use 127.0.0.1",
        )
    if not 0 <= port <= MAX_PORT:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}", hint=f"a port is at most {MAX_PORT}; 0 is a free one"
        )
    return address


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
