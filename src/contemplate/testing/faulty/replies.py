"""What servers do with a request besides answering it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic_core import to_json

from .chat_answer import Answer, chunk_of, opened
from .exchange import Exchange, Reply
from .http import Wire

FOREVER = 3600.0
READING_SECONDS = 0.01

Place = Literal["head", "body", "end", "after"]

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Hold:
    """Another reply, once a gate is open; for tests that must know the order."""

    gate: threading.Event
    then: Reply | str = "ok"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Wait, and send it."""
        await opened(self.gate)
        reply = Answer(self.then) if isinstance(self.then, str) else self.then
        await reply.send(wire, exchange)


@dataclass(frozen=True)
class HttpError:
    """An error status, with OpenAI's error body."""

    status: int
    message: str = "the server says no"
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it."""
        await wire.json({"error": error_body(self.message, self.code)}, self.status, self.headers)


@dataclass(frozen=True)
class Reset:
    """A TCP reset: before the "head", within the "body", at its "end", before its last bytes, or "after" it."""

    where: Place = "head"
    text: str = "half of an answer"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send what comes before, and reset."""
        await _until(self.where, self.text, wire, exchange)
        if self.where != "head":
            # On some systems a reset takes back what the client has not read yet.
            await asyncio.sleep(READING_SECONDS)
        wire.reset()


@dataclass(frozen=True)
class Close:
    """The end of the connection, where `Reset` resets it, but in TCP's good order."""

    where: Place = "head"
    text: str = "half of an answer"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send what comes before, and close the connection."""
        await _until(self.where, self.text, wire, exchange)
        wire.close()


@dataclass(frozen=True)
class Silence:
    """Nothing until the client hangs up.

    Args:
        after_first_token: it begins after the first token; else before the first byte.
        ping: seconds between the comments that some servers send meanwhile, in a stream; none are sent if 0.
    """

    after_first_token: bool = False
    ping: float = 0.0

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Keep silent."""
        pings = self.ping and exchange.streams
        if self.after_first_token:
            await _half("well,", wire, exchange)
        elif pings:
            await wire.begin_stream()
        while pings:
            await wire.chunk(b": still here\n\n")
            await asyncio.sleep(self.ping)
        await asyncio.sleep(FOREVER)


@dataclass(frozen=True)
class Endless:
    """An answer that never ends, until the client hangs up."""

    text: str = "and so on "
    gap: float = 0.001

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it."""
        if exchange.streams:
            await wire.begin_stream()
        else:
            await wire.begin_stream("application/json")
            await wire.chunk(b'{"choices": [{"message": {"content": "')
        while True:
            if exchange.streams:
                await wire.event(chunk_of(exchange, {"content": self.text}))
            else:
                await wire.chunk(to_json(self.text)[1:-1])
            await asyncio.sleep(self.gap)


@dataclass(frozen=True)
class BrokenBody:
    """An answer that ends before it is complete, though HTTP ends in good order, as behind some proxies."""

    text: str = "half of an answer"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send half of it."""
        if exchange.streams:
            await _half(self.text, wire, exchange)
            await wire.end_stream(done=False)
        else:
            whole = to_json(Answer(self.text).completion(exchange))
            await wire.whole(whole[: len(whole) // 2], 200, JSON)


@dataclass(frozen=True)
class Page:
    """A web page, with a status of success, as proxies send it."""

    html: str = "<html><body>Sign in</body></html>"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it."""
        await wire.whole(self.html.encode(), 200, {"content-type": "text/html"})


@dataclass(frozen=True)
class RawBody:
    """A whole response with this body, whatever was asked."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it."""
        await wire.whole(self.body, self.status, {"content-type": self.content_type})


@dataclass(frozen=True)
class RawStream:
    """A stream of these bytes, in chunks of `chunk` bytes, which may cut characters in two."""

    body: bytes
    chunk: int = 1
    content_type: str = "text/event-stream"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it."""
        await wire.begin_stream(self.content_type)
        for start in range(0, len(self.body), self.chunk):
            await wire.chunk(self.body[start : start + self.chunk])
        await wire.end_stream(done=False)


def error_body(message: str, code: str | None = None) -> dict[str, str | None]:
    """What OpenAI says of an error."""
    return {"message": message, "type": "error", "code": code, "param": None}


async def _half(text: str, wire: Wire, exchange: Exchange) -> None:
    """Send the head and the first half of an answer."""
    if exchange.streams:
        await wire.begin_stream()
        await wire.event(chunk_of(exchange, {"role": "assistant", "content": text}))
    else:
        whole = to_json(Answer(text).completion(exchange))
        await wire.head(200, {**JSON, "content-length": str(len(whole))})
        await wire.raw(whole[: len(whole) // 2])


async def _until(where: Place, text: str, wire: Wire, exchange: Exchange) -> None:
    """Send an answer up to `where`."""
    if where == "after":
        await Answer(text).send(wire, exchange)
    elif where != "head":
        await _half(text, wire, exchange)
    if where == "end":
        if exchange.streams:
            await wire.event(chunk_of(exchange, {}, "stop"))
        else:
            whole = to_json(Answer(text).completion(exchange))
            await wire.raw(whole[len(whole) // 2 : -1])
