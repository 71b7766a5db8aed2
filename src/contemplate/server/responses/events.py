"""The events of a stream."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .items import Agent, OutputItem
from .parts import Api, OutputText, SummaryText, is_none
from .resource import Response


class Event(Api):
    """The base of all. `sequence_number` counts them, from 0; `agent` is whose it is, if the client wants to know."""

    type: str
    sequence_number: int = 0
    agent: Agent | None = Field(default=None, exclude_if=is_none)


class Stage(Event):
    """The response has come so far."""

    type: Literal[
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ]
    response: Response


class ItemAdded(Event):
    """An item begins."""

    type: Literal["response.output_item.added"] = "response.output_item.added"
    output_index: int
    item: OutputItem


class ItemDone(Event):
    """An item is whole."""

    type: Literal["response.output_item.done"] = "response.output_item.done"
    output_index: int
    item: OutputItem


class _OfItem(Event):
    item_id: str
    output_index: int


class SummaryPart(_OfItem):
    """A part of a summary begins, or is whole."""

    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: int = 0
    part: SummaryText


class SummaryDelta(_OfItem):
    """A summary goes on."""

    type: Literal["response.reasoning_summary_text.delta"] = "response.reasoning_summary_text.delta"
    summary_index: int = 0
    delta: str


class SummaryDone(_OfItem):
    """The text of a summary is whole."""

    type: Literal["response.reasoning_summary_text.done"] = "response.reasoning_summary_text.done"
    summary_index: int = 0
    text: str


class ContentPart(_OfItem):
    """A part of a message begins, or is whole."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: int = 0
    part: OutputText


class TextDelta(_OfItem):
    """A text goes on."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    content_index: int = 0
    delta: str
    logprobs: tuple[()] = ()


class TextDone(_OfItem):
    """A text is whole."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    content_index: int = 0
    text: str
    logprobs: tuple[()] = ()


class ArgumentsDelta(_OfItem):
    """The arguments of a call go on."""

    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"
    delta: str


class ArgumentsDone(_OfItem):
    """The arguments of a call are whole."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    arguments: str


def frame(event: Event) -> bytes:
    """Return an event as it is sent."""
    return f"event: {event.type}\ndata: {event.model_dump_json(by_alias=True)}\n\n".encode()
