"""How a run is shown: live on a terminal, as lines elsewhere, as JSON on request."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Protocol, TextIO

from pydantic_core import to_json

from ..events import Event, LimitReached, Noted, PlanDelta, TaskFinished, TaskPlanned, TaskStarted, ToolStarted
from ..result import ErrorInfo, RunResult
from .words import printable, reached, summary, why

# What images hold is left out of the events: it may be megabytes a line.
_IMAGE_DATA: Any = {
    "result": {"images": {"__all__": {"data"}}, "messages": {"__all__": {"parts": {"__all__": {"data"}}}}}
}


class View(Protocol):
    """Something that shows a run. Either `finish` or `stop` is the last thing that it is told."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def finish(self, result: RunResult[str]) -> None:
        """Show how the run ended."""

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Show what had been reached when an error or a signal stopped the run; `error` itself is told elsewhere."""


def view_for(options: argparse.Namespace) -> View:
    """The view that `options` ask for, and that the terminal can show."""
    if options.events:
        return EventLines()
    progress = None if options.quiet else sys.stderr
    if options.json:
        return Document(progress)
    # Log lines would be written over the live view.
    if sys.stdout.isatty() and not options.quiet and options.log_level is None:
        try:
            from .live import Live
        except ImportError:
            pass
        else:
            return Live()
    return Lines(progress)


class EventLines:
    """Every event as one line of JSON, on standard output, without the data of images."""

    def show(self, event: Event) -> None:
        """Print the event."""
        _print(event.model_dump_json(exclude=_IMAGE_DATA) + "\n")

    def finish(self, result: RunResult[str]) -> None:
        """The last event has said it."""

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """The events so far are what had been reached."""


class Lines:
    """Progress in lines on standard error, and the answer, when it is whole, on standard output."""

    def __init__(self, progress: TextIO | None) -> None:
        self._progress = progress
        self._planning = False

    def show(self, event: Event) -> None:
        """Print a line for what a person wants to know."""
        match event:
            case PlanDelta() if not self._planning:
                self._planning = True
                self._say("planning ...")
            case TaskPlanned(task=task) if task.kind == "part":
                needs = f" (after {', '.join(task.needs)})" if task.needs else ""
                self._say(f"planned {task.id}: {task.label}{needs}")
            case TaskStarted(task_id=task_id):
                self._say(f"started {task_id}")
            case ToolStarted(task_id=task_id, tool=tool):
                self._say(f"{task_id} uses {tool}")
            case TaskFinished(result=result):
                self._say(f"{result.outcome} {result.id} after {result.seconds:.1f} s{why(result)}")
            case Noted(message=message):
                self._say(f"note: {message}")
            case LimitReached(limit=limit):
                self._say(f"limit reached: {limit}; concluding from what arrived")
            case _:
                pass

    def finish(self, result: RunResult[str]) -> None:
        """Print the answer, and what it cost."""
        _print(_for_reader(result.text.rstrip() + "\n"))
        self._say(summary(result))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Print what there is."""
        if partial is not None:
            _print(_for_reader(reached(partial)))

    def _say(self, line: str) -> None:
        if self._progress is not None:
            self._progress.write(printable(line) + "\n")
            self._progress.flush()


class Document(Lines):
    """Progress in lines on standard error, and one JSON document on standard output."""

    def finish(self, result: RunResult[str]) -> None:
        """Print the result."""
        _print(result.model_dump_json(indent=2) + "\n")
        self._say(summary(result))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Print the error, and what there is."""
        reached = None if partial is None else partial.model_dump(mode="json")
        _print(to_json({"error": error.model_dump(), "partial": reached}, indent=2).decode() + "\n")


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _for_reader(text: str) -> str:
    """A file gets the text as it is."""
    return printable(text) if sys.stdout.isatty() else text
