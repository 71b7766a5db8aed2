"""Good answers: their text, speed and pieces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..token_counts import CHARACTERS_PER_TOKEN, text_tokens
from .exchange import Exchange
from .http import HttpConnection

POLL_SECONDS = 0.001


@dataclass(frozen=True)
class ChatAnswer:
    """A good answer.

    Args:
        text: the text of the answer.
        pieces: the pieces of a streamed answer; pieces of `chunk` characters if None.
        chunk: characters in each piece.
        delay: seconds before the first byte.
        first_token_delay: seconds between the headers of a stream and its first piece.
        gap: seconds between pieces.
        gates: events to wait for, the i-th before the i-th piece; for tests that control the order.
        finish: the finish reason.
        tool_calls: pairs of a tool's name and its arguments, which are JSON.
        usage: whether the usage is reported; or the usage to report.
        cached_tokens: the number of cached prompt tokens to report.
        reasoning: reasoning that is sent first.
        extra: further fields of the message, such as images; in a stream, those of a chunk after the text.
    """

    text: str = "ok"
    pieces: Sequence[str] | None = None
    chunk: int = 16
    delay: float = 0.0
    first_token_delay: float = 0.0
    gap: float = 0.0
    gates: Mapping[int, threading.Event] = field(default_factory=dict)
    finish: str = "stop"
    tool_calls: Sequence[tuple[str, str]] = ()
    usage: bool | Mapping[str, Any] = True
    cached_tokens: int = 0
    reasoning: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    async def send(self, connection: HttpConnection, exchange: Exchange) -> None:
        """Send the answer, as a stream if the request asks for one."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if exchange.streams:
            await self._stream(connection, exchange)
        else:
            await self._before(0)
            await connection.json(self.completion(exchange))

    def completion(self, exchange: Exchange) -> dict[str, Any]:
        """Return the whole answer, as the body of a response."""
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

    async def _stream(self, connection: HttpConnection, exchange: Exchange) -> None:
        await connection.begin_stream()
        await connection.event(chunk_of(exchange, {"role": "assistant", "content": ""}))
        if self.reasoning:
            await connection.event(chunk_of(exchange, {"reasoning_content": self.reasoning}))
        for place, piece in enumerate(self._pieces()):
            await self._before(place)
            await connection.event(chunk_of(exchange, {"content": piece} if piece else {}))
        if self.extra:
            await connection.event(chunk_of(exchange, self.extra))
        for delta in self._calls():
            await connection.event(chunk_of(exchange, delta))
        await connection.event(chunk_of(exchange, {}, self.finish))
        if self.usage and exchange.wants_usage:
            head = head_of(exchange, "chat.completion.chunk")
            await connection.event({**head, "choices": [], "usage": self._usage(exchange)})
        await connection.end_stream()

    def _pieces(self) -> Sequence[str]:
        if self.pieces is not None:
            return self.pieces
        return [self.text[start : start + self.chunk] for start in range(0, len(self.text), self.chunk)] or [""]

    def _calls(self) -> Iterator[dict[str, Any]]:
        for place, (name, arguments) in enumerate(self.tool_calls):
            function = {"name": name, "arguments": ""}
            yield {"tool_calls": [{"index": place, "id": f"call_{place}", "type": "function", "function": function}]}
            half = len(arguments) // 2
            for part in (arguments[:half], arguments[half:]):
                yield {"tool_calls": [{"index": place, "function": {"arguments": part}}]}

    async def _before(self, place: int) -> None:
        if place in self.gates:
            await wait_for_gate(self.gates[place])
        pause = self.gap if place else self.first_token_delay
        if pause:
            await asyncio.sleep(pause)

    def _usage(self, exchange: Exchange) -> Mapping[str, Any]:
        if isinstance(self.usage, Mapping):
            return self.usage
        prompt = sum(len(str(message.get("content"))) for message in exchange.messages) // CHARACTERS_PER_TOKEN
        written = text_tokens(self.text)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


async def wait_for_gate(gate: threading.Event) -> None:
    """Wait until another thread sets `gate`."""
    while not gate.is_set():  # noqa: ASYNC110 -- a threading.Event does not wake tasks
        await asyncio.sleep(POLL_SECONDS)


def head_of(exchange: Exchange, kind: str) -> dict[str, Any]:
    """Return the common fields of every response and chunk."""
    return {"id": f"chatcmpl-{exchange.number}", "object": kind, "created": 0, "model": exchange.model}


def chunk_of(exchange: Exchange, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """Return one chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**head_of(exchange, "chat.completion.chunk"), "choices": [choice]}
