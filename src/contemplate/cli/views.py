"""How a run is shown: live on a terminal, as lines elsewhere, as JSON on request."""

from __future__ import annotations

import argparse
import sys
from typing import Protocol, TextIO

from ..events import Event, LimitReached, Noted, PlanDelta, TaskFinished, TaskPlanned, TaskStarted, ToolStarted
from ..result import RunResult, TaskResult
from ..usage import Usage


class View(Protocol):
    """Something that shows a run."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def finish(self, result: RunResult[str]) -> None:
        """Show how the run ended."""

    def interrupt(self, partial: RunResult[str]) -> None:
        """Show what had been reached when the run was interrupted."""

    def close(self) -> None:
        """Leave the terminal as it was; an error is about to be shown."""


def view_for(options: argparse.Namespace) -> View:
    """The view that `options` ask for, and that the terminal can show."""
    if options.events:
        return EventLines()
    progress = None if options.quiet else sys.stderr
    if options.json:
        return Lines(progress, answer=False)
    if sys.stdout.isatty() and not options.quiet:
        try:
            from .live import Live
        except ImportError:
            pass
        else:
            return Live()
    return Lines(progress)


class EventLines:
    """Every event as one line of JSON, on standard output."""

    def show(self, event: Event) -> None:
        """Print the event."""
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()

    def finish(self, result: RunResult[str]) -> None:
        """The last event has said it."""

    def interrupt(self, partial: RunResult[str]) -> None:
        """The events so far are what had been reached."""

    def close(self) -> None:
        """Nothing to put back."""


class Lines:
    """Progress in lines on standard error, and the answer, when it is whole, on standard output."""

    def __init__(self, progress: TextIO | None, *, answer: bool = True) -> None:
        self._progress = progress
        self._answer = answer
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
        if self._answer:
            sys.stdout.write(result.text.rstrip() + "\n")
            sys.stdout.flush()
        self._say(summary(result))

    def interrupt(self, partial: RunResult[str]) -> None:
        """Print what there is."""
        if self._answer:
            sys.stdout.write(reached(partial))
            sys.stdout.flush()
        self._say(f"interrupted; {spent(partial.usage)}")

    def close(self) -> None:
        """Nothing to put back."""

    def _say(self, line: str) -> None:
        if self._progress is not None:
            self._progress.write(line + "\n")
            self._progress.flush()


def why(result: TaskResult) -> str:
    """What a task failed of, for the end of a line."""
    return "" if result.error is None else f": {result.error.message}"


def summary(result: RunResult[str]) -> str:
    """What a run cost, and what is missing, in one line."""
    parts = [spent(result.usage), f"{result.seconds:.1f} s"]
    if result.stopped_by:
        parts.append(f"stopped by the limit on {result.stopped_by}")
    if not result.complete:
        missing = f" (missing: {', '.join(result.missing)})" if result.missing else ""
        parts.append(f"incomplete{missing}")
    return " · ".join(parts)


def spent(usage: Usage) -> str:
    """Calls, tokens and, where it is known, money."""
    cached = f", {usage.cached_input_tokens:,} of them cached" if usage.cached_input_tokens else ""
    text = f"{usage.calls} calls · {usage.input_tokens:,} tokens in{cached}, {usage.output_tokens:,} out"
    return text if not usage.cost_usd else f"{text} · ${usage.cost_usd:.4f}"


def reached(partial: RunResult[str]) -> str:
    """The texts that an interrupted run had finished."""
    if partial.text:
        return partial.text.rstrip() + "\n"
    done = [each for each in partial.tasks if each.text]
    return "".join(f"## {each.task.label} ({each.outcome})\n\n{each.text.strip()}\n\n" for each in done)
