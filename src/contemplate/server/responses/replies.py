"""The forms of a reply: streamed, whole, and kept for whoever asks for it later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
from starlette import responses as http
from starlette.types import Receive, Scope, Send

from ...result import RunResult
from ..api_errors import Failure
from ..chat.replies import error_response
from ..deltas import FinishReason, ReplyDelta
from ..event_stream import KEEP_ALIVE_SECONDS, STREAM_HEADERS
from .events import Event, frame
from .parts import Api
from .resource import Response
from .writer import ResponseWriter

HOLD_SECONDS = 1.0
DONE = b"data: [DONE]\n\n"


Keep = Callable[[Response], Awaitable[None]]


def json_response(body: Api, status: int = 200) -> http.Response:
    """Return `body` as a response of HTTP."""
    return http.Response(body.model_dump_json(by_alias=True), status, media_type="application/json")


class WholeReply:
    """One response, sent when the run is over.

    Args:
        writer: writes it.
        keep: stores it before it is sent.
    """

    def __init__(self, writer: ResponseWriter, keep: Keep, scope: Scope, receive: Receive, send: Send) -> None:
        self.run_id = ""
        self._writer = writer
        self._keep = keep
        self._asgi = scope, receive, send

    async def say(self, delta: ReplyDelta) -> None:
        """Write on."""
        _all(self._writer.say(delta))

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send the response."""
        _all(self._writer.end(result, text, finish_reason))
        await self._keep(self._writer.response)
        await json_response(self._writer.response)(*self._asgi)

    async def fail(self, error: Failure) -> None:
        """Send the error."""
        await error_response(error)(*self._asgi)

    async def keep_alive(self) -> None:
        """There is nothing to send before the end."""


class StreamedReply:
    """Events, each sent when there is something to tell.

    The status is not sent before that, or before a moment has passed. So a run which fails at once for the client's own
    request is answered with an error's status. Other errors are told in the stream: a status of 5xx lets clients make
    the whole run again.

    Args:
        writer: writes the response.
        keep: stores it before its end is told.
    """

    def __init__(self, writer: ResponseWriter, keep: Keep, scope: Scope, receive: Receive, send: Send) -> None:
        self.run_id = ""
        self._writer = writer
        self._keep = keep
        self._asgi = scope, receive, send
        self._send = send
        self._lock = anyio.Lock(fast_acquire=True)
        self._open = False
        self._over = False
        self._last = anyio.current_time()

    async def say(self, delta: ReplyDelta) -> None:
        """Send what is new."""
        async with self._lock:
            await self._events(self._writer.say(delta))

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send the end of the answer, and the whole response."""
        async with self._lock:
            await self._end(self._writer.end(result, text, finish_reason))

    async def fail(self, error: Failure) -> None:
        """Send the error: as a response where nothing was sent and the client is to mend it, else as the last event."""
        async with self._lock:
            if self._open or error.status >= 500:
                await self._end(self._writer.fail(error))
                return
            self._over = True
        await error_response(error)(*self._asgi)

    async def keep_alive(self) -> None:
        """Say after each long silence that the work goes on: clients give up on streams without events."""
        await anyio.sleep(HOLD_SECONDS)
        async with self._lock:
            if not (self._open or self._over):
                await self._events(())
        while True:
            await anyio.sleep_until(self._last + KEEP_ALIVE_SECONDS)
            async with self._lock:
                if not self._over and anyio.current_time() >= self._last + KEEP_ALIVE_SECONDS:
                    await self._events((self._writer.still(),))

    async def _events(self, told: Iterable[Event]) -> None:
        data = self._opening() + b"".join(map(frame, told))
        await self._start()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._last = anyio.current_time()

    async def _end(self, told: Iterable[Event]) -> None:
        data = self._opening() + b"".join(map(frame, told)) + DONE
        await self._start()
        await self._keep(self._writer.response)
        self._over = True
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def _opening(self) -> bytes:
        # Before all others, as events are numbered when they are made.
        return b"" if self._open else b"".join(map(frame, self._writer.begin()))

    async def _start(self) -> None:
        if not self._open:
            self._open = True
            await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})


def _all(told: Iterable[Event]) -> None:
    for _ in told:
        pass
