"""What the server does with a request: answer it, or one of the many other things that servers do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .wire import Wire

if TYPE_CHECKING:
    from .server import Exchange

CHARACTERS_PER_TOKEN = 4
FOREVER = 3600.0
POLL_SECONDS = 0.001

Place = Literal["head", "body", "end"]


class Reply(Protocol):
    """Something that is sent for a request."""

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it. Cancelled when the client hangs up."""


@dataclass(frozen=True)
class Answer:
    """A good answer.

    Args:
        text: what the model says.
        pieces: how it is cut when it is streamed; pieces of `chunk` characters if None.
        chunk: characters in each piece.
        delay: seconds before the first byte.
        gap: seconds between pieces.
        gates: events that are waited for, the i-th before the i-th piece; for tests that must know the order.
        finish: the finish reason.
        tool_calls: pairs of a tool's name and its arguments, as JSON.
        usage: whether the usage is reported.
        cached_tokens: how many prompt tokens are said to be cached.
        reasoning: what is streamed as reasoning first.
        extra: further fields of the message.
    """

    text: str = "ok"
    pieces: Sequence[str] | None = None
    chunk: int = 16
    delay: float = 0.0
    gap: float = 0.0
    gates: Mapping[int, threading.Event] = field(default_factory=dict)
    finish: str = "stop"
    tool_calls: Sequence[tuple[str, str]] = ()
    usage: bool = True
    cached_tokens: int = 0
    reasoning: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it, as a stream if that was asked for."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if not exchange.streams:
            await self._wait(0)
            await wire.json(self._completion(exchange))
            return
        await wire.begin_stream()
        for body in self._deltas():
            if isinstance(body, int):
                await self._wait(body)
                if self.gap and body:
                    await asyncio.sleep(self.gap)
            else:
                await wire.event(chunk_of(exchange, body))
        await wire.event(chunk_of(exchange, {}, self.finish))
        if self.usage:
            await wire.event(
                {**head_of(exchange, "chat.completion.chunk"), "choices": [], "usage": self._usage(exchange)}
            )
        await wire.end_stream()

    def _deltas(self) -> list[dict[str, Any] | int]:
        cut = range(0, len(self.text), self.chunk)
        pieces = self.pieces if self.pieces is not None else [self.text[i : i + self.chunk] for i in cut]
        deltas: list[dict[str, Any] | int] = [{"role": "assistant", "content": ""}]
        if self.reasoning:
            deltas.append({"reasoning_content": self.reasoning})
        for place, piece in enumerate(pieces):
            deltas += [place, {"content": piece}]
        for place, (name, arguments) in enumerate(self.tool_calls):
            function = {"name": name, "arguments": ""}
            call = {"index": place, "id": f"call_{place}", "type": "function", "function": function}
            deltas.append({"tool_calls": [call]})
            half = len(arguments) // 2
            for part in (arguments[:half], arguments[half:]):
                deltas.append({"tool_calls": [{"index": place, "function": {"arguments": part}}]})
        return deltas

    async def _wait(self, place: int) -> None:
        gate = self.gates.get(place)
        if gate is not None:
            while not gate.is_set():  # noqa: ASYNC110 -- it is set in another thread
                await asyncio.sleep(POLL_SECONDS)

    def _completion(self, exchange: Exchange) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text, **self.extra}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for place, (name, arguments) in enumerate(self.tool_calls)
            ]
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        body = {**head_of(exchange, "chat.completion"), "choices": [choice]}
        return body | {"usage": self._usage(exchange)} if self.usage else body

    def _usage(self, exchange: Exchange) -> dict[str, Any]:
        prompt = sum(len(str(message.get("content"))) for message in exchange.messages) // CHARACTERS_PER_TOKEN
        return {
            "prompt_tokens": prompt,
            "completion_tokens": -(-len(self.text) // CHARACTERS_PER_TOKEN),
            "total_tokens": prompt - (-len(self.text) // CHARACTERS_PER_TOKEN),
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


@dataclass(frozen=True)
class HttpError:
    """An error status, with OpenAI's error body."""

    status: int
    message: str = "the server says no"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it."""
        error = {"message": self.message, "type": "error", "code": None, "param": None}
        await wire.json({"error": error}, self.status, self.headers)


@dataclass(frozen=True)
class Reset:
    """A TCP reset: before the "head", within the "body", or at its "end", before the last chunk."""

    where: Place = "head"
    text: str = "half of an answer"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send what comes before, and reset."""
        if self.where != "head":
            await wire.begin_stream()
            await wire.event(chunk_of(exchange, {"role": "assistant", "content": self.text}))
        if self.where == "end":
            await wire.event(chunk_of(exchange, {}, "stop"))
        # The client may not read what a reset follows at once.
        await asyncio.sleep(0.01)
        wire.reset()


@dataclass(frozen=True)
class Silence:
    """Nothing: before the first byte, or after the first token. Until the client hangs up."""

    after_first_token: bool = False

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Keep silent."""
        if self.after_first_token:
            await wire.begin_stream()
            await wire.event(chunk_of(exchange, {"role": "assistant", "content": "well,"}))
        await asyncio.sleep(FOREVER)


@dataclass(frozen=True)
class Endless:
    """A stream that never ends."""

    text: str = "and so on "
    gap: float = 0.001

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it until the client hangs up."""
        await wire.begin_stream()
        while True:
            await wire.event(chunk_of(exchange, {"content": self.text}))
            await asyncio.sleep(self.gap)


@dataclass(frozen=True)
class BrokenBody:
    """A body that ends before it should: the connection is closed in an orderly way, in the middle."""

    text: str = "half of an answer"

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send half of it."""
        if exchange.streams:
            await wire.begin_stream()
            await wire.event(chunk_of(exchange, {"role": "assistant", "content": self.text}))
            await wire.raw(b"0\r\n\r\n")
        else:
            await wire.whole(b'{"choices": [', 200, {"content-type": "application/json"})


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

    async def send(self, wire: Wire, exchange: Exchange) -> None:
        """Send it."""
        await wire.begin_stream()
        for start in range(0, len(self.body), self.chunk):
            await wire.chunk(self.body[start : start + self.chunk])
        await wire.raw(b"0\r\n\r\n")


def head_of(exchange: Exchange, kind: str) -> dict[str, Any]:
    """What every response and chunk begins with."""
    return {"id": f"chatcmpl-{exchange.number}", "object": kind, "created": 0, "model": exchange.model}


def chunk_of(exchange: Exchange, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """One chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**head_of(exchange, "chat.completion.chunk"), "choices": [choice]}
