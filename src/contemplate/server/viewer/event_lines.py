"""Events as lines of JSON, as the viewer's page reads them, and as files hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from ...errors import ConfigurationError
from ...events import Event, OutputDelta, PlanDelta, RunStarted, TaskDelta

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
    """Return events as lines. What is written in pieces meanwhile is one piece for each writer."""
    written: dict[tuple[str, ...], list[Piece]] = {}
    for event in events:
        if event.kind not in PIECES:
            yield from _joined(written)
            yield line_of(event)
            continue
        assert isinstance(event, TaskDelta | OutputDelta | PlanDelta)  # noqa: S101
        writer = (event.kind, event.path, event.task_id if isinstance(event, TaskDelta) else "")
        if not isinstance(event, PlanDelta) and event.restart and writer in written:
            yield _piece(written.pop(writer))
        written.setdefault(writer, []).append(event)
    yield from _joined(written)


def _joined(written: dict[tuple[str, ...], list[Piece]]) -> Iterator[bytes]:
    for pieces in written.values():
        yield _piece(pieces)
    written.clear()


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
