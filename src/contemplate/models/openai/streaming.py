"""Read a streamed response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Protocol

import anyio

from ..base import Delta, DeltaSink, ModelResponse
from .completion import parsed
from .sse import BYTE_ORDER_MARK, LONGEST_FIELD, EventStream, looks_like_events
from .stream_timeouts import StreamTimeouts
from .transport import Stream, TransportFailure

DRAIN_SECONDS = 0.1


class Collector(Protocol):
    """Collects a response: chunk by chunk, or whole."""

    @property
    def pieces(self) -> int:
        """The number of chunks with content."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the last chunk said that nothing follows."""
        ...

    def add(self, body: bytes) -> Iterator[Delta]:
        """Add one chunk, and yield its deltas.

        Raises:
            BadCompletion: it is none.
        """
        ...

    def add_value(self, chunk: Any) -> Iterator[Delta]:
        """Add one chunk, or a whole response, that has been parsed, and yield its deltas.

        Raises:
            BadCompletion: it is none.
        """
        ...

    def end(self, *, done: bool = False) -> Iterator[Delta]:
        """Yield what was held back, at the end. `done`: the server said that this is the end."""
        ...

    def response(self) -> ModelResponse:
        """Return the collected response.

        Raises:
            BadCompletion: it is not complete, or the server gave it up.
        """
        ...


async def read_stream(
    stream: Stream, collector: Collector, on_delta: DeltaSink, timeouts: StreamTimeouts
) -> ModelResponse:
    """Return the response of `stream`, and pass its pieces to `on_delta` as they arrive.

    Whether it is a stream of events is seen from its beginning: not all servers say so in the content type, and some
    say so of a whole response.

    Raises:
        TransportFailure: the stream broke off.
        BadCompletion: it is not what the collector reads.
    """
    events, beginning = EventStream(), b""
    is_stream: bool | None = None
    if "application/json" in stream.content_type:
        # The limits of streams begin to hold with the first piece, should it be one all the same.
        timeouts.end()
    async for piece in stream.pieces:
        if is_stream is None:
            beginning += piece
            is_stream = _is_stream(beginning, stream.content_type)
            if is_stream is None:
                continue
            piece = beginning
            if not is_stream:
                timeouts.end()
                break
        done = _collect(events.feed(piece), collector, on_delta)
        timeouts.heard(collector.pieces)
        if done:
            await _drain(stream.pieces)
            return _ended(collector, on_delta, done=True)
    if is_stream is None:
        is_stream = "text/event-stream" in stream.content_type
    if not is_stream:
        whole = b"".join([beginning, *[piece async for piece in stream.pieces]])
        return _pass_on(read_whole(whole, collector), on_delta)
    done = _collect(events.flush(), collector, on_delta)
    return _ended(collector, on_delta, done=done)


def read_whole(body: bytes, collector: Collector) -> ModelResponse:
    """Return the response of a body that was not streamed.

    Raises:
        BadCompletion: it is not what the collector reads.
    """
    for _ in collector.add_value(parsed(body)):
        pass
    return collector.response()


def _is_stream(beginning: bytes, content_type: str) -> bool | None:
    """Return whether a body that begins like this is a stream of events; None while it may be either."""
    start = beginning.removeprefix(BYTE_ORDER_MARK).lstrip()
    if start.startswith((b"{", b"[", b"<")):
        return False
    if "text/event-stream" in content_type or looks_like_events(start):
        return bool(start) or None
    return False if len(start) > LONGEST_FIELD else None


def _collect(events: Iterator[bytes], collector: Collector, on_delta: DeltaSink) -> bool:
    """Collect `events`; return True when the stream signals its end."""
    for data in events:
        if data.strip() == b"[DONE]":
            return True
        for delta in collector.add(data):
            on_delta(delta)
        if collector.is_over:
            return True
    return False


def _ended(collector: Collector, on_delta: DeltaSink, *, done: bool) -> ModelResponse:
    for delta in collector.end(done=done):
        on_delta(delta)
    return collector.response()


def _pass_on(response: ModelResponse, on_delta: DeltaSink) -> ModelResponse:
    """Pass a whole response to `on_delta`: some servers answer a streaming request in one piece."""
    if response.message.text or response.reasoning:
        on_delta(Delta(response.message.text, response.reasoning))
    return response


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read the end of the body: only a connection that was read to its end can be reused.

    The answer is already complete, so errors of the connection are ignored.
    """
    with anyio.move_on_after(DRAIN_SECONDS), suppress(TransportFailure):
        async for _ in pieces:
            pass
