"""Read a streamed response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import anyio

from ..base import Delta, DeltaSink, ModelRequest, ModelResponse
from .response import ResponseCollector, whole_response
from .sse import EventStream
from .stream_timeouts import StreamTimeouts
from .transport import Stream, TransportFailure

DRAIN_SECONDS = 0.1


async def read_stream(
    stream: Stream, request: ModelRequest, on_delta: DeltaSink, timeouts: StreamTimeouts, *, model: str
) -> ModelResponse:
    """Return the response of `stream`, and pass its pieces to `on_delta` as they arrive.

    Raises:
        TransportFailure: the stream broke off.
        BadCompletion: it is not a chat completion.
    """
    if "text/event-stream" not in stream.content_type:
        timeouts.end()
        whole = b"".join([piece async for piece in stream.pieces])
        return _pass_on(whole_response(whole, request, model=model), on_delta)
    collector, events = ResponseCollector(request, model=model), EventStream()
    async for piece in stream.pieces:
        done = _collect(events.feed(piece), collector, on_delta)
        timeouts.heard(collector.pieces)
        if done:
            await _drain(stream.pieces)
            return collector.response()
    _collect(events.flush(), collector, on_delta)
    return collector.response()


def _collect(events: Iterator[bytes], collector: ResponseCollector, on_delta: DeltaSink) -> bool:
    """Collect `events`; return True when the stream signals its end."""
    for data in events:
        if data.strip() == b"[DONE]":
            return True
        for delta in collector.add(data):
            on_delta(delta)
    return False


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
