"""Read a streamed response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Literal, Protocol

import anyio

from ..base import Delta, DeltaSink, ModelResponse
from .completion import BadCompletion, parsed
from .json_lines import JsonLines, looks_like_json_lines
from .sse import BYTE_ORDER_MARK, LONGEST_FIELD, EventStream, looks_like_events
from .stream_timeouts import StreamTimeouts
from .transport import Stream, TransportFailure

DRAIN_SECONDS = 0.1

# "object": JSON of which no line has ended.
_Form = Literal["events", "lines", "object", "whole"]


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

    Whether it is a stream, of events or of lines of JSON, is seen from its beginning: not all servers say so in the
    content type, and some say so of a whole response.

    Raises:
        TransportFailure: the stream broke off.
        BadCompletion: it is not what the collector reads.
    """
    events: EventStream | JsonLines | None = None
    beginning: list[bytes] = []
    form: _Form | None = None
    if "application/json" in stream.content_type:
        # The limits of streams begin to hold with the first piece, should it be one all the same.
        timeouts.end()
    async for piece in stream.pieces:
        if events is None:
            beginning.append(piece)
            if form == "object" and b"\n" not in piece:
                continue
            form = _form_of(b"".join(beginning), stream.content_type)
            if form in ("object", "whole"):
                timeouts.end()
            if form == "whole":
                break
            if form in (None, "object"):
                continue
            events, piece = EventStream() if form == "events" else JsonLines(), b"".join(beginning)
        done = _collect(events.feed(piece), collector, on_delta)
        timeouts.heard(collector.pieces)
        if done:
            await _drain(stream.pieces)
            return _ended(collector, on_delta, done=True)
    if events is None and (form is not None or "text/event-stream" not in stream.content_type):
        whole = b"".join([*beginning, *[piece async for piece in stream.pieces]])
        return _pass_on(read_whole(whole, collector), on_delta)
    done = events is not None and _collect(events.flush(), collector, on_delta)
    return _ended(collector, on_delta, done=done)


def read_whole(body: bytes, collector: Collector) -> ModelResponse:
    """Return the response of a body that was not to be streamed; one that was all the same is read as a stream.

    Raises:
        BadCompletion: it is not what the collector reads.
    """
    try:
        value = parsed(body.removeprefix(BYTE_ORDER_MARK))
    except BadCompletion:
        form = _form_of(body, "")
        if form not in ("events", "lines"):
            raise
        events = EventStream() if form == "events" else JsonLines()
        done = _collect(events.feed(body), collector, _unheard) or _collect(events.flush(), collector, _unheard)
        return _ended(collector, _unheard, done=done)
    for _ in collector.add_value(value):
        pass
    return collector.response()


def _unheard(_: Delta) -> None:
    """Pass a piece on to nobody."""


def _form_of(beginning: bytes, content_type: str) -> _Form | None:
    """Return in which form a body is that begins like this; None while it may be any."""
    if BYTE_ORDER_MARK.startswith(beginning):
        return None
    start = beginning.removeprefix(BYTE_ORDER_MARK).lstrip()
    if start.startswith(b"{"):
        if b"\n" not in start:
            return "object"
        return "lines" if looks_like_json_lines(start) else "whole"
    if start.startswith((b"[", b"<")):
        return "whole"
    if "text/event-stream" in content_type or looks_like_events(start):
        return "events" if start else None
    return "whole" if len(start) > LONGEST_FIELD else None


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
