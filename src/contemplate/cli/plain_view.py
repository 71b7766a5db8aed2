"""A run as plain lines: its progress on standard error, its answer on standard output."""

from __future__ import annotations

from typing import Any

from ..events import Event, RunStarted
from ..result import ErrorInfo, RunResult
from ..views.event_lines import EventLines
from ..views.summary import partial_text, summary_line
from .console import say, write_readable
from .heartbeat import Heartbeat
from .pace import Pace

BEAT_SECONDS = 10.0


class PlainView:
    """Shows progress in lines as it happens, a sign of life now and then, and the answer when it is whole.

    Args:
        quiet: whether progress and the summary are left out.
        beat: the seconds between two signs of life.
    """

    def __init__(self, *, quiet: bool, beat: float = BEAT_SECONDS) -> None:
        self._quiet = quiet
        self._pace = Pace()
        self._heartbeat = Heartbeat(beat, lambda: say(f"... {self._pace.text()}"))
        # The summary names what is missing by its id.
        self._lines = EventLines(show_ids=True)

    def show(self, event: Event) -> None:
        """Print a line if there is something to say of the event."""
        self._pace.add(event)
        if isinstance(event, RunStarted) and not self._quiet:
            self._heartbeat.start()
        line = self._lines.line(event)
        if line is not None:
            self._say(line)

    def finish(self, result: RunResult[str]) -> None:
        """Print the answer, and what it cost."""
        self._end()
        if not result.pending:
            write_readable(result.text.rstrip() + "\n")
        self._say(summary_line(result))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Print the texts that there are."""
        self._end()
        if partial is not None:
            write_readable(partial_text(partial))

    def _end(self) -> None:
        self._heartbeat.stop()

    def _say(self, line: str) -> None:
        if not self._quiet:
            say(line)
