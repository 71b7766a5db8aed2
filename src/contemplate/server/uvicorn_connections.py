"""Connections of uvicorn, guarded against clients that send too slowly, read nothing, or close one half of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starlette.types import Scope

from .settings import ServerSettings
from .visits import Visit

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _HttpProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as _HttpProtocol

PROBE_SECONDS = 10.0
# A peer that is gone answers a probe at once, with a reset.
ECHO_SECONDS = 0.1
_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
# Whoever reads HTTP skips an interim response, and whoever reads server-sent events a comment.
_INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
_COMMENT = b":\n\n"


def guarded(settings: ServerSettings) -> type[asyncio.Protocol]:
    """Return what makes a connection with the times of `settings`, as uvicorn's `Config(http=...)` takes it."""
    # uvicorn only calls it.
    return cast("type[asyncio.Protocol]", partial(_Connection, settings))


class _Connection(_HttpProtocol):
    def __init__(self, settings: ServerSettings, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settings = settings
        self._head = _Timer(self.loop, self._give_up)
        self._unread = _Timer(self.loop, self._abort)
        self._probe = _Timer(self.loop, self._ask_whether_it_is_there)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head.start(self._settings.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        for each in (self._head, self._unread, self._probe):
            each.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._answering:
            self._head.start(self._settings.header_seconds)
        super().data_received(data)
        if self._answering:
            self._head.stop()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.start(self._settings.unread_seconds)

    def resume_writing(self) -> None:
        self._unread.stop()
        super().resume_writing()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Stay open for an answer: a client may say in this way that its request is whole."""
        if not self._answering or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        self._ask_whether_it_is_there()
        return True

    def _ask_whether_it_is_there(self) -> None:
        # A client that is gone has closed its half, too, and only what is sent to it brings that to light.
        if not self._answering or self.transport.is_closing():
            return
        if not self.cycle.response_started:
            self._write(_INTERIM if self.cycle.scope["http_version"] != "1.0" else b"")
        elif Visit.of(cast("Scope", self.cycle.scope)).streams:
            chunked = self.cycle.scope["http_version"] != "1.0"
            self._write(b"%x\r\n%b\r\n" % (len(_COMMENT), _COMMENT) if chunked else _COMMENT)
        self.loop.call_later(ECHO_SECONDS, self._hear_whether_it_is_there)
        self._probe.start(PROBE_SECONDS)

    def _hear_whether_it_is_there(self) -> None:
        import socket

        found = self.transport.get_extra_info("socket")
        if not self.transport.is_closing() and found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._abort()

    def _write(self, data: bytes) -> None:
        # More would only wait for a client that does not read.
        if data and not self.transport.get_write_buffer_size():
            self.transport.write(data)

    def _give_up(self) -> None:
        if not self._answering and not self.transport.is_closing():
            self.transport.write(_TIMEOUT)
            self.transport.close()

    def _abort(self) -> None:
        self.transport.abort()


class _Timer:
    """Calls `then` after some seconds, unless it is stopped. What was started already is not started again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> None:
        self._loop = loop
        self._then = then
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> None:
        if self._handle is None:
            self._handle = self._loop.call_later(seconds, self._call)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _call(self) -> None:
        self._handle = None
        self._then()
