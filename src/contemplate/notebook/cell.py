"""A run in the output of a notebook's cell, drawn in place.

What is displayed has an id, by which it is updated: Jupyter's `update_display_data`,
https://jupyter-client.readthedocs.io/en/stable/messaging.html#update-display-data.
"""

from __future__ import annotations

from typing import Any, Protocol
from uuid import uuid4

from ..events import Event
from ..redaction import redact
from ..result import ErrorInfo, RunResult
from ..views.html import end_of, shown_end, shown_live, shown_result
from ..views.pace import SEPARATOR
from ..views.run_progress import RunProgress
from ..views.run_stage import RunStage
from ..views.summary import cost_line
from ..views.task_states import TaskStates


class Publisher(Protocol):
    """What displays data in a notebook: the `display_pub` of IPython's shell."""

    def publish(self, data: dict[str, str], *, transient: dict[str, str], update: bool) -> None:
        """Display data by their MIME types, or update what has the same `transient["display_id"]`."""


class CellView:
    """Shows a run in the output of the cell in which it is made.

    Args:
        publisher: displays it.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._id = uuid4().hex
        self._progress = RunProgress()
        self._tasks = TaskStates()
        self._stage = RunStage()
        self._shown: dict[str, str] = {}

    def add(self, event: Event) -> None:
        """Take account of an event."""
        for each in (self._progress, self._tasks, self._stage):
            each.add(event)

    def draw(self) -> None:
        """Show how the run stands, unless it looks as it did."""
        doing = SEPARATOR.join(self._stage.parts(self._tasks, end_of))
        self._show(shown_live(self._progress.partial(), self._tasks, doing), doing)

    def finish(self, result: RunResult[Any]) -> None:
        """Show the result."""
        self._show(shown_result(result), repr(result))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Show what had been reached."""
        reached = partial or self._progress.partial()
        self._show(shown_end(reached, error), f"{error.kind}: {error.message}{SEPARATOR}{cost_line(reached)}")

    def _show(self, html: str, text: str) -> None:
        # For those that show no HTML, such as a console, there is a line of text.
        data = {"text/html": html, "text/plain": redact(text)}
        if data == self._shown:
            return
        self._publisher.publish(data, transient={"display_id": self._id}, update=bool(self._shown))
        self._shown = data
