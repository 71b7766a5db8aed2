"""Events as lines of JSON, as the viewer's page reads them, and as files hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from ...errors import ConfigurationError
from ...events import (
    CallRepeated,
    CallStarted,
    Event,
    ModelCalled,
    OutputDelta,
    PlanDelta,
    RunStarted,
    TaskDelta,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)

Piece = TaskDelta | OutputDelta | PlanDelta
PIECES = frozenset({"task_delta", "output_delta", "plan_delta"})
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
# What is long and shown nowhere: conversations, which other events tell, and images.
_LEFT_OUT: Any = {"run_id": True, "result": {"messages": True, "images": True, "logprobs": True}}
# Of the run itself, whose id stands once.
_FIRST: Any = {"result": True}


def line_of(event: Event) -> bytes:
    """Return an event as one line."""
    left_out = _FIRST if isinstance(event, RunStarted) else _LEFT_OUT
    return event.model_dump_json(exclude=left_out, exclude_none=True).encode() + b"\n"


def lines_of(events: Iterable[Event]) -> Iterator[bytes]:
    """Return events as lines. What somebody writes in pieces is one piece, up to the next event that is about them."""
    written: dict[tuple[str, ...], list[Piece]] = {}
    for event in events:
        about = _about(event)
        if not isinstance(event, TaskDelta | OutputDelta | PlanDelta):
            # What is about the whole run comes after all that was written.
            for each in [about] if about else [*written]:
                if each in written:
                    yield _piece(written.pop(each))
            yield line_of(event)
            continue
        if not isinstance(event, PlanDelta) and event.restart and about in written:
            yield _piece(written.pop(about))
        written.setdefault(about, []).append(event)
    for pieces in written.values():
        yield _piece(pieces)


def _about(event: Event) -> tuple[str, ...]:
    """Return whom an event is about: the task or the role of a run; empty for the whole run."""
    match event:
        case PlanDelta():
            return event.path, "", "planner"
        case OutputDelta():
            return event.path, "", "output"
        case TaskDelta() | TaskStarted() | ToolStarted() | ToolProgress() | ToolFinished():
            return event.path, event.task_id
        case TaskPlanned(task=task):
            return event.path, task.id
        case TaskFinished(result=result):
            return event.path, result.id
        case CallStarted(name=name) | CallRepeated(name=name) | ModelCalled(name=name) if name.role == "subagent":
            return event.path, name.task or ""
        case CallStarted(name=name) | CallRepeated(name=name) | ModelCalled(name=name) if name.role == "planner":
            return event.path, "", "planner"
    return ()


def _piece(pieces: list[Piece]) -> bytes:
    first = pieces[0]
    line: dict[str, Any] = {"path": first.path, "at": first.at, "kind": first.kind}
    line["text"] = "".join(each.text for each in pieces)
    if isinstance(first, TaskDelta):
        line["task_id"] = first.task_id
    if not isinstance(first, PlanDelta):
        line |= {
            "reasoning": "".join("" if isinstance(each, PlanDelta) else each.reasoning for each in pieces),
            "restart": first.restart,
        }
    return to_json(line) + b"\n"


def read_events(lines: Iterable[str | bytes]) -> Iterator[Event]:
    """Return the events of lines of JSON; empty ones are skipped.

    Raises:
        ConfigurationError: a line is no event.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _EVENT.validate_json(line)
        except ValidationError as error:
            why = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise ConfigurationError(
                f"line {number} is no event of a run: {why}", hint="contemplate ask --events ... > FILE"
            ) from None
