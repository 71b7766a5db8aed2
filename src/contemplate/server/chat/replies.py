"""The two forms of a reply: a stream of chunks (server-sent events), or one completion."""

from __future__ import annotations

from time import time
from typing import Any

import anyio
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...result import RunResult
from ..api_errors import Failure, RequestError, server_error
from ..deltas import FinishReason, ReplyDelta
from .schema import (
    ApiUsage,
    AssistantMessage,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    ErrorBody,
    Image,
    ToolCall,
    ToolCallDelta,
)

KEEP_ALIVE_SECONDS = 15.0

_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class WholeReply:
    """One completion, sent when the run is over."""

    def __init__(self, model: str, scope: Scope, receive: Receive, send: Send) -> None:
        self.run_id = ""
        self._model = model
        self._asgi = scope, receive, send
        self._reasoning: list[str] = []

    async def say(self, delta: ReplyDelta) -> None:
        """Keep the reasoning; the answer will be in the result."""
        self._reasoning.append(delta.reasoning)

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send the completion."""
        calls = tuple(map(ToolCall.of, result.pending)) or None
        message = AssistantMessage(
            content=text if text or calls is None else None,
            tool_calls=calls,
            reasoning_content="".join(self._reasoning) or None,
            images=Image.all_of(result.images),
        )
        completion = Completion(
            id=f"chatcmpl-{self.run_id}",
            created=int(time()),
            model=self._model,
            choices=(Choice(message=message, finish_reason=finish_reason),),
            usage=ApiUsage.of(result.usage),
        )
        await Response(_json(completion), media_type="application/json")(*self._asgi)

    async def fail(self, error: Failure) -> None:
        """Send the error."""
        await error_response(error)(*self._asgi)

    async def keep_alive(self) -> None:
        """There is nothing to send before the end."""


class StreamedReply:
    """Chunks, each sent when there is something to tell.

    The status is not sent before that, so that a run that fails at once is answered with an error's status.
    """

    def __init__(self, model: str, include_usage: bool, scope: Scope, receive: Receive, send: Send) -> None:
        self.run_id = ""
        self._model = model
        self._include_usage = include_usage
        self._asgi = scope, receive, send
        self._send = send
        self._created = int(time())
        self._lock = anyio.Lock()
        self._open = False
        self._over = False
        self._last = anyio.current_time()
        self._has_content = False

    async def say(self, delta: ReplyDelta) -> None:
        """Send what is new.

        Raises:
            RequestError: the answer has begun anew, and its old beginning cannot be called back.
        """
        if delta.restart and self._has_content:
            why = "the answer broke off and began anew, after its beginning had been sent; ask again"
            raise RequestError(server_error(why, status=502, code="answer_restarted"))
        if delta.reasoning:
            await self._delta(Delta(reasoning_content=delta.reasoning))
        if delta.content:
            self._has_content = True
            await self._delta(Delta(content=delta.content))

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send the images, the calls, the finish reason, the usage if it was asked for, and the end mark."""
        if result.images:
            await self._delta(Delta(images=Image.all_of(result.images)))
        if result.pending:
            await self._delta(Delta(tool_calls=ToolCallDelta.all_of(result.pending)))
        await self._delta(Delta(), finish_reason)
        if self._include_usage:
            await self._event(_json(self._chunk(usage=ApiUsage.of(result.usage))))
        await self._event(b"[DONE]")
        await self._frame(b"", last=True)

    async def fail(self, error: Failure) -> None:
        """Send the error: as a response where nothing was sent, else as the last event."""
        async with self._lock:
            self._over = not self._open
        if self._over:
            await error_response(error)(*self._asgi)
            return
        await self._event(_json(ErrorBody.of(error)))
        await self._frame(b"", last=True)

    async def keep_alive(self) -> None:
        """Send a comment after each long silence, for whatever stands between and gives up on silent connections."""
        while True:
            await anyio.sleep_until(self._last + KEEP_ALIVE_SECONDS)
            if anyio.current_time() >= self._last + KEEP_ALIVE_SECONDS:
                await self._frame(b": keep-alive\n\n")

    async def _delta(self, delta: Delta, finish_reason: FinishReason | None = None) -> None:
        await self._event(_json(self._chunk(ChunkChoice(delta=delta, finish_reason=finish_reason))))

    def _chunk(self, *choices: ChunkChoice, usage: ApiUsage | None = None) -> Chunk:
        id_ = f"chatcmpl-{self.run_id}"
        return Chunk(id=id_, created=self._created, model=self._model, choices=choices, usage=usage)

    async def _event(self, data: bytes) -> None:
        await self._frame(_event(data))

    async def _frame(self, data: bytes, *, last: bool = False) -> None:
        # The comments come from a task of their own, and must neither cut into the rest nor come after it.
        async with self._lock:
            if self._over:
                return
            if not self._open:
                self._open = True
                await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
                role = ChunkChoice(delta=Delta(role="assistant", content=""))
                data = _event(_json(self._chunk(role))) + data
            self._over = last
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})
            self._last = anyio.current_time()


def error_response(error: Failure) -> Response:
    """Return an error as a response."""
    return Response(_json(ErrorBody.of(error)), error.status, error.headers, "application/json")


def _json(body: BaseModel) -> bytes:
    return body.model_dump_json().encode()


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
