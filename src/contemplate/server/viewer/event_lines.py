"""Events as lines of JSON, as the viewer's page reads them, and as files hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from ...errors import ConfigurationError
from ...events import (
    CallQueued,
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
# Pieces that are kept apart: each takes more memory than what it says.
MOST_PIECES = 256
PIECES = frozenset({"task_delta", "output_delta", "plan_delta"})
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
# What is long, and told by other events or shown nowhere: conversations, whole plans, and images.
_LEFT_OUT: Any = {"run_id": True, "result": {"messages": True, "images": True, "logprobs": True}, "plan": {"tasks"}}
# Of the run itself, whose id stands once.
_FIRST: Any = {"result": True}


def line_of(event: Event) -> bytes:
    """Return an event as one line."""
    left_out = _FIRST if isinstance(event, RunStarted) else _LEFT_OUT
    return event.model_dump_json(exclude=left_out, exclude_none=True).encode() + b"\n"


class LineWriter:
    """Writes events as lines. What somebody writes in pieces is one piece, up to the next event that is about them.

    Attributes:
        written: how many characters of pieces, and bytes of lines, there were.
    """

    def __init__(self) -> None:
        self.written = 0
        self._lines: list[bytes] = []
        self._open: dict[tuple[str, ...], _Written] = {}

    def add(self, event: Event) -> None:
        """Add an event."""
        # By far most events are pieces, and each costs whoever serves them.
        if event.kind == "task_delta":
            self._add_piece((event.path, event.task_id), event, event.reasoning, event.restart)
        elif event.kind == "output_delta":
            self._add_piece((event.path, "", "output"), event, event.reasoning, event.restart)
        elif event.kind == "plan_delta":
            self._add_piece((event.path, "", "planner"), event, "", False)
        else:
            about = _about(event)
            # What is about the whole run comes after all that was written.
            for each in [about] if about else [*self._open]:
                self._close(each)
            self._add_line(line_of(event))

    def _add_piece(self, about: tuple[str, ...], event: Piece, thought: str, restart: bool) -> None:
        if restart:
            self._close(about)
        written = self._open.get(about)
        if written is None:
            written = self._open[about] = _Written(event, restart)
        if event.text:
            written.texts.append(event.text)
            self.written += len(event.text)
            if len(written.texts) >= MOST_PIECES:
                written.texts[:] = ["".join(written.texts)]
        if thought:
            written.thoughts.append(thought)
            self.written += len(thought)
            if len(written.thoughts) >= MOST_PIECES:
                written.thoughts[:] = ["".join(written.thoughts)]

    def _close(self, about: tuple[str, ...]) -> None:
        if about in self._open:
            self._add_line(self._open.pop(about).line())

    def _add_line(self, line: bytes) -> None:
        self._lines.append(line)
        self.written += len(line)

    def take(self) -> list[bytes]:
        """Return the lines that there are since this was last asked for, with all that is written so far."""
        for about in [*self._open]:
            self._close(about)
        lines, self._lines = self._lines, []
        return lines


class _Written:
    """What one writer has written, from the first of its pieces on."""

    def __init__(self, first: Piece, restart: bool) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self._first = first
        self._restart = restart

    def line(self) -> bytes:
        first = self._first
        line: dict[str, Any] = {"path": first.path, "at": first.at, "kind": first.kind, "text": "".join(self.texts)}
        if isinstance(first, TaskDelta):
            line["task_id"] = first.task_id
        if not isinstance(first, PlanDelta):
            line |= {"reasoning": "".join(self.thoughts), "restart": self._restart}
        return to_json(line) + b"\n"


def lines_of(events: Iterable[Event]) -> list[bytes]:
    """Return events as lines."""
    writer = LineWriter()
    for event in events:
        writer.add(event)
    return writer.take()


def _about(event: Event) -> tuple[str, ...]:
    """Return whom an event is about: the task or the role of a run; empty for the whole run."""
    match event:
        case TaskStarted() | ToolStarted() | ToolProgress() | ToolFinished():
            return event.path, event.task_id
        case TaskPlanned(task=task):
            return event.path, task.id
        case TaskFinished(result=result):
            return event.path, result.id
        case CallStarted(name=name) | CallQueued(name=name) | CallRepeated(name=name) | ModelCalled(name=name):
            if name.role != "aggregator":
                return (event.path, name.task or "") if name.role == "subagent" else (event.path, "", "planner")
    return ()


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
