"""The items and events of a response in the making.

How the work goes on is a reasoning item, until the answer begins: what happens while it is being written is not told.
What the answer's writer says before it calls a tool is a message of its own, a commentary. A beginning that is void is
one as well, and is no part of the response in the end.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from time import time
from typing import Any

from pydantic import JsonValue

from ...data import to_json_text
from ...limits import limit_in_words
from ...messages import ImagePart
from ...result import RunResult
from ..api_errors import Failure
from ..deltas import FinishReason, ReplyDelta
from . import events
from .items import Agent, FunctionCall, GeneratedImage, Message, OutputItem, Reasoning, item_id
from .parts import OutputText, SummaryText
from .resource import ERROR, STOPPED_BY, ApiError, ApiUsage, ErrorCode, IncompleteDetails, Response

_LENGTH = "length"


class ResponseWriter:
    """Writes one response; `response` is how far it has come. Every method returns the events that tell of the step.

    Args:
        response: the response, of which nothing is there yet.
        encrypted: whether the client wants to send reasoning back.
        events: how many there were before.
    """

    def __init__(self, response: Response, *, encrypted: bool = False, events: int = 0) -> None:
        self.response = response
        self._encrypted = encrypted
        self._owner = response.id.removeprefix("resp_")
        self._number = events
        self._index = -1
        self._open: type[Message] | type[Reasoning] | None = None
        self._id = ""
        self._texts: list[str] = []
        self._agent: Agent | None = None

    def begin(self) -> Iterator[events.Event]:
        """Begin the response."""
        yield self._stage("response.created")
        yield self._stage("response.queued") if self.response.status == "queued" else self.still()

    def start(self) -> events.Event:
        """Begin to work on a response that was queued."""
        self._change(status="in_progress")
        return self.still()

    def still(self) -> events.Event:
        """Say once more that the work goes on."""
        return self._stage("response.in_progress")

    def say(self, delta: ReplyDelta) -> Iterator[events.Event]:
        """Add to the reasoning, and to the answer."""
        if self._open is Message and (delta.turn or delta.restart):
            yield from self._close_message("incomplete" if delta.restart else "completed", "commentary", delta.restart)
        if delta.reasoning and self._open is not Message:
            if self._open is None:
                yield from self._open_reasoning()
            self._texts.append(delta.reasoning)
            yield self._numbered(events.SummaryDelta(**self._place, delta=delta.reasoning))
        if delta.content:
            yield from self._say_content(delta.content)

    def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> Iterator[events.Event]:
        """End with the answer, or with the calls of the client's tools."""
        cut = finish_reason == "length"
        by_client = cut and result.stopped_by is None and self.response.max_output_tokens is not None
        if finish_reason == "tool_calls":
            yield from self._close("completed", "commentary")
            for call in result.pending:
                yield from self._call(call.id, call.tool, call.arguments)
        else:
            if self._open is not Message and (text or not result.images):
                yield from self._say_content(text)
            if cut and not by_client:
                yield from self._mark(result)
            yield from self._close("incomplete" if by_client else "completed", "final_answer")
        for image in result.images:
            yield from self._image(image)
        self._change(
            status="incomplete" if by_client else "completed",
            incomplete_details=IncompleteDetails(reason="max_output_tokens") if by_client else None,
            completed_at=None if by_client else int(time()),
            usage=ApiUsage.of(result.usage),
        )
        yield self._stage("response.incomplete" if by_client else "response.completed")

    def fail(self, error: Failure) -> Iterator[events.Event]:
        """End with an error.

        A client that streams makes the whole run again after "server_error", which costs it all once more, though every
        call that might pass was already repeated: it is told to mend its prompt instead. The metadata say the truth.
        """
        yield from self._close("incomplete", "commentary")
        code: ErrorCode = "rate_limit_exceeded" if error.status == 429 else "invalid_prompt"
        if error.status >= 500 and self.response.background:
            code = "server_error"
        marks = self.response.metadata | ({ERROR: error.code} if error.code else {})
        self._change(status="failed", error=ApiError(code=code, message=error.message), metadata=marks)
        yield self._stage("response.failed")

    def cancel(self) -> Iterator[events.Event]:
        """End because the client wants so."""
        yield from self._close("incomplete", "commentary")
        self._change(status="cancelled")
        yield self._stage("response.incomplete")

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._id, "output_index": self._index}

    def _next(self, kind: str) -> str:
        self._index += 1
        self._id = item_id(kind, self._owner, self._index)
        self._texts = []
        return self._id

    def _open_reasoning(self) -> Iterator[events.Event]:
        item = Reasoning(id=self._next("reasoning"), status="in_progress", agent=self._agent)
        self._open = Reasoning
        yield self._numbered(events.ItemAdded(output_index=self._index, item=item))
        part = SummaryText(text="")
        yield self._numbered(events.SummaryPart(**self._place, type="response.reasoning_summary_part.added", part=part))

    def _say_content(self, content: str) -> Iterator[events.Event]:
        if self._open is not Message:
            yield from self._close("completed", "commentary")
            content = content.lstrip("\n") if self._index >= 0 else content
            item = Message(
                id=self._next("message"), role="assistant", status="in_progress", content=(), agent=self._agent
            )
            self._open = Message
            yield self._numbered(events.ItemAdded(output_index=self._index, item=item))
            part = OutputText(text="")
            yield self._numbered(events.ContentPart(**self._place, type="response.content_part.added", part=part))
        if content:
            self._texts.append(content)
            yield self._numbered(events.TextDelta(**self._place, delta=content))

    def _close(self, status: Any, phase: Any) -> Iterator[events.Event]:
        if self._open is Message:
            yield from self._close_message(status, phase)
        elif self._open is Reasoning:
            yield from self._close_reasoning()

    def _close_reasoning(self) -> Iterator[events.Event]:
        text = "".join(self._texts)
        part = SummaryText(text=text)
        token = base64.b64encode(self._id.encode()).decode() if self._encrypted else None
        item = Reasoning(id=self._id, status="completed", summary=(part,), encrypted_content=token, agent=self._agent)
        yield self._numbered(events.SummaryDone(**self._place, text=text))
        yield self._numbered(events.SummaryPart(**self._place, type="response.reasoning_summary_part.done", part=part))
        yield self._done(item)

    def _close_message(self, status: Any, phase: Any, void: bool = False) -> Iterator[events.Event]:
        text = "".join(self._texts)
        part = OutputText(text=text)
        item = Message(id=self._id, role="assistant", status=status, content=(part,), phase=phase, agent=self._agent)
        yield self._numbered(events.TextDone(**self._place, text=text))
        yield self._numbered(events.ContentPart(**self._place, type="response.content_part.done", part=part))
        yield self._done(item, void)

    def _call(self, call_id: str, tool: str, arguments: dict[str, JsonValue]) -> Iterator[events.Event]:
        said = to_json_text(arguments)
        item = FunctionCall(
            id=self._next("function_call"),
            call_id=call_id,
            name=tool,
            arguments="",
            status="in_progress",
            agent=self._agent,
        )
        yield self._numbered(events.ItemAdded(output_index=self._index, item=item))
        yield self._numbered(events.ArgumentsDelta(**self._place, delta=said))
        yield self._numbered(events.ArgumentsDone(**self._place, arguments=said))
        yield self._done(item.model_copy(update={"arguments": said, "status": "completed"}))

    def _image(self, image: ImagePart) -> Iterator[events.Event]:
        # This kind of item has no place for the address of an image.
        _, by_value, content = image.as_url().partition(";base64,")
        if by_value:
            item = GeneratedImage(id=self._next("image_generation_call"), result=content, agent=self._agent)
            yield self._numbered(events.ItemAdded(output_index=self._index, item=item))
            yield self._done(item)

    def _mark(self, result: RunResult[Any]) -> Iterator[events.Event]:
        """Say in the text and in the metadata that a limit cut the answer short; JSON has no place for it."""
        self._change(metadata=self.response.metadata | {STOPPED_BY: result.stopped_by or _LENGTH})
        if self.response.text.format.type == "text":
            limit = "the model's longest answer" if result.stopped_by is None else limit_in_words(result.stopped_by)
            yield from self._say_content(f"\n\n(cut short by {limit})")

    def _done(self, item: OutputItem, void: bool = False) -> events.Event:
        self._open = None
        if not void:
            self._change(output=(*self.response.output, item))
        return self._numbered(events.ItemDone(output_index=self._index, item=item))

    def _stage(self, kind: Any) -> events.Event:
        return self._numbered(events.Stage(type=kind, response=self.response))

    def _change(self, **changes: Any) -> None:
        self.response = self.response.model_copy(update=changes)

    def _numbered(self, event: events.Event) -> events.Event:
        event.__dict__["sequence_number"] = self._number
        if event.agent is None:
            event.__dict__["agent"] = self._agent
        self._number += 1
        return event
