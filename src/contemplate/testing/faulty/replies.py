"""Faulty replies: errors, broken connections, silence, and arbitrary bodies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic_core import to_json

from .chat_answer import ChatAnswer, chunk_of, wait_for_gate
from .exchange import Exchange, Reply
from .http import HttpConnection

FOREVER = 3600.0
READING_SECONDS = 0.01

Place = Literal["head", "body", "end", "after"]

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Hold:
    """Another reply, once a gate is open; for tests that control the order."""

    gate: threading.Event
    then: Reply | str = "ok"

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Wait, and send the other reply."""
        await wait_for_gate(self.gate)
        reply = ChatAnswer(self.then) if isinstance(self.then, str) else self.then
        await reply.send(connection, exchange)


@dataclass(frozen=True)
class HttpError:
    """An error status, with OpenAI's error body."""

    status: int
    message: str = "the server says no"
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the reply."""
        await connection.json({"error": error_body(self.message, self.code)}, self.status, self.headers)


@dataclass(frozen=True)
class Reset:
    """A TCP reset: before the "head", within the "body", before its last bytes ("end"), or "after" it."""

    where: Place = "head"
    text: str = "half of an answer"

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send what comes before, and reset the connection."""
        await _until(self.where, self.text, connection, exchange)
        if self.where != "head":
            # On some systems, a reset discards data that the client has not read.
            await asyncio.sleep(READING_SECONDS)
        connection.reset()


@dataclass(frozen=True)
class Close:
    """An orderly close of the connection, at the same places as `Reset`."""

    where: Place = "head"
    text: str = "half of an answer"

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send what comes before, and close the connection."""
        await _until(self.where, self.text, connection, exchange)
        connection.close()


@dataclass(frozen=True)
class Silence:
    """Silence until the client disconnects.

    Args:
        after_first_token: whether it begins after the first token, instead of before the first byte.
        ping: seconds between the comments that some servers send in a stream meanwhile; 0 for none.
    """

    after_first_token: bool = False
    ping: float = 0.0

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Keep silent."""
        pings = self.ping and exchange.streams
        if self.after_first_token:
            await _half("well,", connection, exchange)
        elif pings:
            await connection.begin_stream()
        while pings:
            await connection.chunk(b": still here\n\n")
            await asyncio.sleep(self.ping)
        await asyncio.sleep(FOREVER)


@dataclass(frozen=True)
class Endless:
    """An answer that never ends, until the client disconnects."""

    text: str = "and so on "
    gap: float = 0.001

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the reply."""
        if exchange.streams:
            await connection.begin_stream()
        else:
            await connection.begin_stream("application/json")
            await connection.chunk(b'{"choices": [{"message": {"content": "')
        while True:
            if exchange.streams:
                await connection.event(chunk_of(exchange, {"content": self.text}))
            else:
                await connection.chunk(to_json(self.text)[1:-1])
            await asyncio.sleep(self.gap)


@dataclass(frozen=True)
class BrokenBody:
    """An incomplete answer in a complete HTTP response, as some proxies send."""

    text: str = "half of an answer"

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send half of the answer."""
        if exchange.streams:
            await _half(self.text, connection, exchange)
            await connection.end_stream(done=False)
        else:
            whole = to_json(ChatAnswer(self.text).completion(exchange))
            await connection.whole(whole[: len(whole) // 2], 200, JSON)


@dataclass(frozen=True)
class Page:
    """A web page with status 200, as proxies send."""

    html: str = "<html><body>Sign in</body></html>"

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the reply."""
        await connection.whole(self.html.encode(), 200, {"content-type": "text/html"})


@dataclass(frozen=True)
class RawBody:
    """A whole response with this body, whatever the request."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the reply."""
        await connection.whole(self.body, self.status, {"content-type": self.content_type})


@dataclass(frozen=True)
class RawStream:
    """A stream of these bytes, in chunks of `chunk` bytes, which may split characters."""

    body: bytes
    chunk: int = 1
    content_type: str = "text/event-stream"

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the reply."""
        await connection.begin_stream(self.content_type)
        for start in range(0, len(self.body), self.chunk):
            await connection.chunk(self.body[start : start + self.chunk])
        await connection.end_stream(done=False)


def error_body(message: str, code: str | None = None) -> dict[str, str | None]:
    """Return the error object of an error body, as OpenAI sends it."""
    return {"message": message, "type": "error", "code": code, "param": None}


async def _half(text: str, connection: HttpConnection, exchange: Exchange) -> None:
    """Send the headers and the first half of an answer."""
    if exchange.streams:
        await connection.begin_stream()
        await connection.event(chunk_of(exchange, {"role": "assistant", "content": text}))
    else:
        whole = to_json(ChatAnswer(text).completion(exchange))
        await connection.head(200, {**JSON, "content-length": str(len(whole))})
        await connection.raw(whole[: len(whole) // 2])


async def _until(where: Place, text: str, connection: HttpConnection, exchange: Exchange) -> None:
    """Send an answer up to `where`."""
    if where == "after":
        await ChatAnswer(text).send(connection, exchange)
    elif where != "head":
        await _half(text, connection, exchange)
    if where == "end":
        if exchange.streams:
            await connection.event(chunk_of(exchange, {}, "stop"))
        else:
            whole = to_json(ChatAnswer(text).completion(exchange))
            await connection.raw(whole[len(whole) // 2 : -1])
