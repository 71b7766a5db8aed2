"""A run as lines of text, where there is no notebook."""

from __future__ import annotations

from typing import Any, TextIO

from ..events import Event
from ..result import ErrorInfo, RunResult
from ..views.event_lines import EventLines
from ..views.printable import printable
from ..views.run_progress import RunProgress
from ..views.summary import summary_line


class LinesView:
    """Writes a line for what happens in a run; what happens in runs within its tasks is left out.

    Args:
        file: where to.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines = EventLines()
        self._progress = RunProgress()

    def add(self, event: Event) -> None:
        """Write a line, if there is something to say of an event."""
        self._progress.add(event)
        line = None if event.path else self._lines.line(event)
        if line is not None:
            self._say(line)

    def draw(self) -> None:
        """Do nothing: a line stays as it is."""

    def finish(self, result: RunResult[Any]) -> None:
        """Write what it cost."""
        self._say(summary_line(result))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Write what it cost; of the error, whoever raises it tells."""
        self._say(summary_line(partial or self._progress.partial()))

    def _say(self, line: str) -> None:
        self._file.write(f"{printable(line)}\n")
        self._file.flush()
