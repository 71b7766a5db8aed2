"""HTTP/1.1 from the server's side, with enough control to break it (RFC 9112)."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic_core import to_json

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
READ_BYTES = 64 * 1024


class Hangup(Exception):
    """The client has closed the connection."""


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ahead = b""

    async def receive(self) -> tuple[str, str, dict[str, str], Any]:
        """The next request: method, path, headers with lower-case names, and its JSON.

        Raises:
            Hangup: the client closed the connection instead.
        """
        while b"\r\n\r\n" not in self._ahead:
            await self._read_more()
        head, _, self._ahead = self._ahead.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self._ahead) < length:
            await self._read_more()
        body, self._ahead = self._ahead[:length], self._ahead[length:]
        return method, path, headers, json.loads(body) if body else {}

    async def hung_up(self) -> None:
        """Wait until the client closes the connection; what it sends meanwhile is kept for `receive`."""
        with suppress(Hangup):
            while True:
                await self._read_more()

    async def _read_more(self) -> None:
        try:
            data = await self._reader.read(READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            raise Hangup
        self._ahead += data

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    async def json(self, body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response."""
        await self.whole(to_json(body), status, {"content-type": "application/json", **(headers or {})})

    async def whole(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        """Send a whole response in one piece."""
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    async def begin_stream(self) -> None:
        """Send the head of a stream of events."""
        await self.head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body."""
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, body: object) -> None:
        """Send one event of a stream."""
        await self.chunk(b"data: " + to_json(body) + b"\n\n")

    async def end_stream(self) -> None:
        """End a stream as clients expect it."""
        await self.chunk(b"data: [DONE]\n\n")
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Close the connection with a TCP reset: what has been sent may not even be read."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
