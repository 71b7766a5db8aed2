"""The two forms of a reply: a stream of chunks (server-sent events), or one completion."""

from __future__ import annotations

from time import time
from typing import Any, Literal

import anyio
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...result import RunResult
from ...usage import Usage
from ..api_errors import Failure, RequestError, server_error
from ..deltas import FinishReason, ReplyDelta
from ..event_stream import KEEP_ALIVE_SECONDS, STREAM_HEADERS, TextEvent
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


class WholeReply:
    """One completion, sent when all its answers are there."""

    def __init__(self, model: str, scope: Scope, receive: Receive, send: Send) -> None:
        self.run_id = ""
        self._model = model
        self._asgi = scope, receive, send
        self._reasoning: dict[int, list[str]] = {}
        self._choices: dict[int, Choice] = {}

    async def say(self, delta: ReplyDelta, index: int = 0) -> None:
        """Keep the reasoning; the answer will be in the result."""
        self._reasoning.setdefault(index, []).append(delta.reasoning)

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send the completion."""
        await self.end_choice(0, result, text, finish_reason)
        await self.end_all(result.usage)

    async def end_choice(self, index: int, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Keep the answer."""
        calls = tuple(map(ToolCall.of, result.pending)) or None
        message = AssistantMessage(
            content=text if text or calls is None else None,
            tool_calls=calls,
            reasoning_content="".join(self._reasoning.get(index, ())) or None,
            images=Image.all_of(result.images),
        )
        self._choices[index] = Choice(index=index, message=message, finish_reason=finish_reason)

    async def end_all(self, usage: Usage) -> None:
        """Send the completion."""
        completion = Completion(
            id=f"chatcmpl-{self.run_id}",
            created=int(time()),
            model=self._model,
            choices=tuple(self._choices[index] for index in sorted(self._choices)),
            usage=ApiUsage.of(usage),
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

    def __init__(
        self, model: str, include_usage: bool, answers: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.run_id = ""
        self._model = model
        self._answers = answers
        self._include_usage = include_usage
        self._asgi = scope, receive, send
        self._send = send
        self._created = int(time())
        self._lock = anyio.Lock(fast_acquire=True)
        self._open = False
        self._introduced = False
        self._over = False
        self._last = anyio.current_time()
        self._with_content: set[int] = set()
        self._texts: dict[tuple[int, str], TextEvent] = {}

    async def say(self, delta: ReplyDelta, index: int = 0) -> None:
        """Send what is new.

        Raises:
            RequestError: the answer has begun anew, and its old beginning cannot be called back.
        """
        if delta.restart and index in self._with_content:
            why = "the answer broke off and began anew, after its beginning had been sent; ask again"
            raise RequestError(server_error(why, status=502, code="answer_restarted"))
        data = b""
        if delta.reasoning:
            data = self._text(index, "reasoning_content", delta.reasoning)
        if delta.content:
            self._with_content.add(index)
            data += self._text(index, "content", delta.content)
        if data:
            await self._frame(data)

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send the end of the answer, and of the stream."""
        await self.end_choice(0, result, text, finish_reason)
        await self.end_all(result.usage)

    async def end_choice(self, index: int, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send an answer's images, its calls, and its finish reason."""
        if result.images:
            await self._delta(index, Delta(images=Image.all_of(result.images)))
        if result.pending:
            await self._delta(index, Delta(tool_calls=ToolCallDelta.all_of(result.pending)))
        await self._delta(index, Delta(), finish_reason)

    async def end_all(self, usage: Usage) -> None:
        """Send the usage if it was asked for, and the end mark."""
        said = [_json(self._chunk(usage=ApiUsage.of(usage)))] if self._include_usage else []
        await self._frame(b"".join(map(_event, (*said, b"[DONE]"))), last=True)

    async def fail(self, error: Failure) -> None:
        """Send the error: as a response where nothing was sent, else as the last event."""
        async with self._lock:
            self._over = not self._open
        if self._over:
            await error_response(error)(*self._asgi)
            return
        await self._frame(_event(_json(ErrorBody.of(error))))
        await self._frame(b"", last=True)

    async def keep_alive(self) -> None:
        """Send a chunk without contents after each long silence.

        Not only what stands between gives up on silent connections: some clients wait for the next chunk, and see no
        comments (LangChain: https://reference.langchain.com/python/langchain-openai, `stream_chunk_timeout`). Before
        the run has begun, and has the id of which all chunks tell, a comment is all that can be sent.
        """
        while True:
            await anyio.sleep_until(self._last + KEEP_ALIVE_SECONDS)
            if anyio.current_time() >= self._last + KEEP_ALIVE_SECONDS:
                nothing = self._chunk(ChunkChoice(delta=Delta()))
                await self._frame(_event(_json(nothing)) if self.run_id else b": keep-alive\n\n")

    async def _delta(self, index: int, delta: Delta, finish_reason: FinishReason | None = None) -> None:
        await self._frame(self._delta_event(index, delta, finish_reason))

    def _text(self, index: int, field: Literal["content", "reasoning_content"], text: str) -> bytes:
        event = self._texts.get((index, field))
        if event is None:
            event = TextEvent(lambda text: self._delta_event(index, Delta.model_validate({field: text})))
            self._texts[index, field] = event
        return event.of(text)

    def _delta_event(self, index: int, delta: Delta, finish_reason: FinishReason | None = None) -> bytes:
        return _event(_json(self._chunk(ChunkChoice(index=index, delta=delta, finish_reason=finish_reason))))

    def _chunk(self, *choices: ChunkChoice, usage: ApiUsage | None = None) -> Chunk:
        id_ = f"chatcmpl-{self.run_id}"
        return Chunk(id=id_, created=self._created, model=self._model, choices=choices, usage=usage)

    async def _frame(self, data: bytes, *, last: bool = False) -> None:
        # What keeps alive comes from a task of its own, and must neither cut into the rest nor come after it.
        async with self._lock:
            if self._over:
                return
            if not self._open:
                self._open = True
                await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            if self.run_id and not self._introduced:
                self._introduced = True
                role = Delta(role="assistant", content="")
                roles = [self._chunk(ChunkChoice(index=index, delta=role)) for index in range(self._answers)]
                data = b"".join([*(_event(_json(each)) for each in roles), data])
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
