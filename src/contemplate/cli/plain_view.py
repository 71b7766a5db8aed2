"""A run as plain lines: its progress on standard error, its answer on standard output."""

from __future__ import annotations

from typing import Any

from ..events import CallWaiting, Event, LimitReached, Noted, RunStarted, TaskFinished, TaskPlanned
from ..result import ErrorInfo, RunResult
from ..views.event_lines import EventLines
from ..views.inner_runs import InnerRuns
from ..views.pace import Pace
from ..views.plan_tree import PlanTree
from ..views.summary import partial_text, summary_line
from .answer_view import show_whole
from .console import say
from .heartbeat import Heartbeat

BEAT_SECONDS = 10.0
INDENT = "  "
# What is told of a run within a task, as it asks for something, or explains the answer; the rest is counted.
TOLD_OF_INNER_RUNS = (CallWaiting, LimitReached, Noted)


class PlainView:
    """Shows progress in lines as it happens, a sign of life now and then, and the answer when it is whole.

    Args:
        quiet: whether progress and the summary are left out.
        markdown: whether the answer is shown as Markdown, or as the model wrote it.
        beat: the seconds between two signs of life.
    """

    def __init__(self, *, quiet: bool, markdown: bool = False, beat: float = BEAT_SECONDS) -> None:
        self._quiet = quiet
        self._markdown = markdown
        self._pace = Pace()
        self._heartbeat = Heartbeat(beat, lambda: say(f"... {self._pace.text()}"))
        # The summary names what is missing by its id.
        self._lines = EventLines(show_ids=True)
        self._tree = PlanTree()
        self._within = InnerRuns()

    def show(self, event: Event) -> None:
        """Print a line if there is something to say of the event."""
        self._pace.add(event)
        if isinstance(event, RunStarted) and not self._quiet:
            self._heartbeat.start()
        self._within.add(event)
        line = self._lines.line(event)
        if line is not None and (not event.path or isinstance(event, TOLD_OF_INNER_RUNS)):
            self._say(self._placed(event, line))

    def _placed(self, event: Event, line: str) -> str:
        """Return the line at its place in the plan, and with what went on within its task."""
        if event.path:
            return line
        match event:
            case TaskPlanned(task=task) if self._tree.add(task):
                return INDENT * self._tree.depth(task.id) + line
            case TaskFinished(result=result) if within := self._within.text(result.id):
                return f"{line} ({within})"
            case _:
                return line

    def finish(self, result: RunResult[str]) -> None:
        """Print the answer, and what it cost."""
        self._end()
        if not result.pending:
            show_whole(result.text.rstrip() + "\n", markdown=self._markdown)
        self._say(summary_line(result))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Print the texts that there are."""
        self._end()
        if partial is not None:
            show_whole(partial_text(partial), markdown=self._markdown)

    def _end(self) -> None:
        self._heartbeat.stop()

    def _say(self, line: str) -> None:
        if not self._quiet:
            say(line)
