"""HTTP/1.1 for the server, with enough control to violate it (RFC 9112)."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from pydantic_core import to_json

WRITES_AT_ONCE = 32


class Hangup(Exception):
    """The connection is closed."""


class Malformed(Exception):
    """The client did not send a valid HTTP request."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request; the names of its headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class HttpConnection(asyncio.Protocol):
    """One connection, and the task that serves it, which is cancelled as soon as the client disconnects.

    A client that closes only its sending half counts as disconnected, too.

    Args:
        begin: starts the task, once the connection is open.
        closed: called when both sides have closed it.

    Attributes:
        open: whether data can be sent.
        left: when the client disconnected, on the clock of `time.monotonic`; None if it did not.
    """

    def __init__(
        self, begin: Callable[[HttpConnection], asyncio.Task[None]], closed: Callable[[HttpConnection], None]
    ) -> None:
        self.open = True
        self.left: float | None = None
        self._begin = begin
        self._closed = closed
        self._received = bytearray()
        self._data_waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._writes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare the socket, and start the task that serves it."""
        self._transport = cast("asyncio.Transport", transport)
        # Without a buffer in this process, sent data is in the kernel, and a reset does not discard it.
        self._transport.set_write_buffer_limits(high=0)
        # asyncio sets it only for sockets with an explicit protocol, which `socket.create_server` does not set.
        connection: socket.socket = self._transport.get_extra_info("socket")
        with suppress(OSError):
            # The client may have gone already.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._task = self._begin(self)

    def data_received(self, data: bytes) -> None:
        """Keep the bytes for `receive`."""
        self._received += data
        self._wake()

    def eof_received(self) -> None:
        """Note that the client will send no more."""
        self._disconnect()

    def connection_lost(self, _: Exception | None) -> None:
        """Note that both sides have closed the connection."""
        self._disconnect()
        self._closed(self)

    def pause_writing(self) -> None:
        """Make `raw` wait: the client reads more slowly than the server writes."""
        self._write_waiter = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let `raw` continue: the client has caught up."""
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)
        self._write_waiter = None

    def _disconnect(self) -> None:
        if not self.open:
            return
        self.open = False
        self.left = time.monotonic()
        if self._data_waiter is None:
            self._task.cancel()
        # A request that arrived together with the end is still served.
        self._wake()

    def _wake(self) -> None:
        if self._data_waiter is not None and not self._data_waiter.done():
            self._data_waiter.set_result(None)

    async def receive(self) -> Request:
        """Return the next request.

        Raises:
            Hangup: the client closed the connection instead.
            Malformed: the client did not send a valid request.
        """
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            await self._read_more()
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        try:
            method, path, _ = first.split(" ")
            if "transfer-encoding" in headers:
                raise ValueError
            stop = end + 4 + int(headers.get("content-length", 0))
        except ValueError:
            raise Malformed(f"not an HTTP/1.1 request with a Content-Length: {first[:80]!r}") from None
        while len(self._received) < stop:
            await self._read_more()
        body = bytes(self._received[end + 4 : stop])
        del self._received[:stop]
        return Request(method, path, headers, body)

    async def _read_more(self) -> None:
        if not self.open:
            raise Hangup
        self._data_waiter = asyncio.get_running_loop().create_future()
        try:
            await self._data_waiter
        finally:
            self._data_waiter = None

    async def raw(self, data: bytes) -> None:
        """Send bytes unchanged; when this returns, the kernel has them.

        Raises:
            Hangup: the connection is closed.
        """
        if not self.open:
            raise Hangup
        self._transport.write(data)
        self._writes += 1
        if self._write_waiter is not None:
            await self._write_waiter
        elif self._writes % WRITES_AT_ONCE == 0:
            # Otherwise a stream to a fast reader would block the event loop, and even hide a disconnect.
            await asyncio.sleep(0)

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        await self.raw(_head(status, headers))

    async def whole(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        """Send a whole response in one piece."""
        await self.raw(_head(status, {"content-length": str(len(body)), **headers}) + body)

    async def json(self, body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole JSON response."""
        await self.whole(to_json(body), status, {"content-type": "application/json", **(headers or {})})

    async def begin_stream(self, content_type: str = "text/event-stream") -> None:
        """Send the headers of a stream."""
        await self.head(200, {"content-type": content_type, "transfer-encoding": "chunked"})

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a stream; an empty chunk would end it."""
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, body: object) -> None:
        """Send one event of a stream."""
        await self.chunk(b"data: " + to_json(body) + b"\n\n")

    async def end_stream(self, *, done: bool = True) -> None:
        """End a stream, by default with the event that chat completions end with."""
        await self.raw((b"e\r\ndata: [DONE]\n\n\r\n" if done else b"") + b"0\r\n\r\n")

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self.open = False
        self._transport.close()

    def reset(self) -> None:
        """Close the connection with a TCP reset, which may discard data that the client has not read."""
        self.open = False
        connection: socket.socket = self._transport.get_extra_info("socket")
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def stop(self) -> None:
        """Close the connection at once, and end its task."""
        self.open = False
        self._task.cancel()
        self._transport.abort()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Status"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]
    return "\r\n".join(lines).encode("latin-1")
