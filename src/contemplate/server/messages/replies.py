"""The two forms of a reply: a stream of events, or one message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal
from uuid import uuid4

import anyio
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...data import to_json_text
from ...result import RunResult
from ..api_errors import Failure, RequestError, server_error
from ..deltas import FinishReason, ReplyDelta
from ..event_stream import KEEP_ALIVE_SECONDS, STREAM_HEADERS
from .errors import REQUEST_ID, ErrorBody, ErrorResponse, request_id
from .resource import (
    SIGNATURE,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    InputJsonDelta,
    MessageBody,
    MessageDelta,
    MessageStart,
    MessageStop,
    MessageUsage,
    Ping,
    SignatureDelta,
    StopDelta,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    stop_reason,
)

_DELTA = (
    b"event: content_block_delta\ndata: "
    b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b_delta","%b":%b}}\n\n'
)
_Event = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping | ErrorBody


class _Reply:
    """What both forms know.

    Args:
        model: the name by which the client asked.
        prompt: how many tokens the client sent, by the estimate.
        thinking: whether the client wants to see thoughts.
        scope, receive, send: of the ASGI application.
    """

    def __init__(self, model: str, prompt: int, thinking: bool, scope: Scope, receive: Receive, send: Send) -> None:
        self.run_id = ""
        self._model = model
        self._prompt = prompt
        self._thinking = thinking
        self._asgi = scope, receive, send

    def _message(self, **fields: Any) -> MessageBody:
        # Clients take messages with one id for one, and a run that goes on after tool calls gives several.
        return MessageBody(id=f"msg_{self.run_id}{uuid4().hex}"[:40], model=self._model, **fields)


class WholeReply(_Reply):
    """One message, sent when the run is over."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._reasoning: list[str] = []

    async def say(self, delta: ReplyDelta) -> None:
        """Keep the reasoning; the answer will be in the result."""
        if self._thinking:
            self._reasoning.append(delta.reasoning)

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send the message."""
        thoughts = "".join(self._reasoning)
        message = self._message(
            content=(
                *((ThinkingBlock(thinking=thoughts, signature=SIGNATURE),) if thoughts else ()),
                *((TextBlock(text=text),) if text else ()),
                *map(ToolUseBlock.of, result.pending),
            ),
            stop_reason=stop_reason(result, finish_reason),
            usage=MessageUsage.of(self._prompt, result),
        )
        headers = {REQUEST_ID: request_id(self._asgi[0])}
        await Response(_json(message), headers=headers, media_type="application/json")(*self._asgi)

    async def fail(self, error: Failure) -> None:
        """Send the error."""
        await ErrorResponse(error)(*self._asgi)

    async def keep_alive(self) -> None:
        """There is nothing to send before the end."""


class StreamedReply(_Reply):
    """Events, each sent when there is something to tell.

    The status is not sent before that, so that a run that fails at once is answered with an error's status: clients ask
    again, and pay again, where a stream breaks off before an answer has begun.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lock = anyio.Lock(fast_acquire=True)
        self._open = False
        self._over = False
        self._last = anyio.current_time()
        self._index = -1
        self._block: Literal["text", "thinking"] | None = None
        self._has_text = False

    async def say(self, delta: ReplyDelta) -> None:
        """Send what is new.

        Raises:
            RequestError: the answer has begun anew, and its old beginning cannot be called back.
        """
        if delta.restart and self._has_text:
            why = "the answer broke off and began anew, after its beginning had been sent; ask again"
            raise RequestError(server_error(why, status=502, code="answer_restarted"))
        thoughts = delta.reasoning if self._thinking else ""
        if thoughts:
            await self._in("thinking", thoughts)
        if delta.content:
            self._has_text = True
            await self._in("text", delta.content)

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Send the calls, why the message ends, and its usage."""
        await self._events(
            *self._block_end(),
            *(event for call in result.pending for event in self._call(ToolUseBlock.of(call))),
            MessageDelta(
                delta=StopDelta(stop_reason=stop_reason(result, finish_reason)),
                usage=MessageUsage.of(self._prompt, result),
            ),
            MessageStop(),
            last=True,
        )

    async def fail(self, error: Failure) -> None:
        """Send the error: as a response where nothing was sent, else as the last event."""
        async with self._lock:
            self._over = not self._open
        if self._over:
            await ErrorResponse(error)(*self._asgi)
            return
        await self._events(ErrorBody.of(error, request_id(self._asgi[0])), last=True)

    async def keep_alive(self) -> None:
        """Send a ping after each long silence."""
        while True:
            await anyio.sleep_until(self._last + KEEP_ALIVE_SECONDS)
            if anyio.current_time() >= self._last + KEEP_ALIVE_SECONDS:
                await self._events(Ping())

    async def _in(self, kind: Literal["text", "thinking"], said: str) -> None:
        """Send what is said, in a block of its kind."""
        opening: tuple[_Event, ...] = ()
        if self._block != kind:
            empty = TextBlock(text="") if kind == "text" else ThinkingBlock(thinking="", signature="")
            opening = (*self._block_end(), self._block_start(empty))
            self._block = kind
        await self._events(*opening, _delta(self._index, kind, said))

    def _call(self, call: ToolUseBlock) -> Iterator[_Event]:
        yield self._block_start(call.model_copy(update={"input": {}}))
        yield BlockDelta(index=self._index, delta=InputJsonDelta(partial_json=to_json_text(call.input)))
        yield BlockStop(index=self._index)

    def _block_start(self, block: Block) -> BlockStart:
        self._index += 1
        return BlockStart(index=self._index, content_block=block)

    def _block_end(self) -> Iterator[_Event]:
        """Yield the end of the block that is open, if one is."""
        if self._block == "thinking":
            yield BlockDelta(index=self._index, delta=SignatureDelta())
        if self._block is not None:
            yield BlockStop(index=self._index)
        self._block = None

    async def _events(self, *events: _Event | bytes, last: bool = False) -> None:
        # The pings come from a task of their own, and must neither cut into the rest nor come after it.
        async with self._lock:
            if self._over:
                return
            send = self._asgi[2]
            if not self._open:
                self._open = True
                id_ = (REQUEST_ID.encode(), request_id(self._asgi[0]).encode())
                await send({"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, id_]})
                usage = MessageUsage(input_tokens=self._prompt, output_tokens=0)
                events = (MessageStart(message=self._message(usage=usage)), *events)
            self._over = last
            await send({"type": "http.response.body", "body": b"".join(map(_event, events)), "more_body": not last})
            self._last = anyio.current_time()


def _json(body: BaseModel) -> bytes:
    return body.model_dump_json().encode()


def _event(event: _Event | bytes) -> bytes:
    if isinstance(event, bytes):
        return event
    return b"event: " + event.type.encode() + b"\ndata: " + _json(event) + b"\n\n"


def _delta(index: int, kind: Literal["text", "thinking"], said: str) -> bytes:
    """Return a `BlockDelta` as an event. It is written by hand, as there is one for each token."""
    name = kind.encode()
    return _DELTA % (index, name, name, to_json(said))
