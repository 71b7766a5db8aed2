"""What shows a run: the output of a cell where there is one, else lines on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Protocol

from ..events import Event
from ..result import ErrorInfo, RunResult
from .cell import CellView, Publisher
from .lines import LinesView


class NotebookView(Protocol):
    """Something that shows a run. Either `finish` or `stop` is the last thing that it is told."""

    def add(self, event: Event) -> None:
        """Take account of an event."""

    def draw(self) -> None:
        """Show how the run stands."""

    def finish(self, result: RunResult[Any]) -> None:
        """Show the result."""

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Show what had been reached when the run was ended."""


class GuardedView:
    """A view that does not cost the answer: one that fails says so, and shows nothing more."""

    def __init__(self, view: NotebookView) -> None:
        self._view: NotebookView | None = view

    def add(self, event: Event) -> None:
        """Take account of an event."""
        self._try(lambda view: view.add(event))

    def draw(self) -> None:
        """Show how the run stands."""
        self._try(lambda view: view.draw())

    def finish(self, result: RunResult[Any]) -> None:
        """Show the result."""
        self._try(lambda view: view.finish(result))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Show what had been reached when the run was ended."""
        self._try(lambda view: view.stop(error, partial))

    def _try(self, show: Callable[[NotebookView], None]) -> None:
        if self._view is None:
            return
        try:
            show(self._view)
        except Exception as error:
            self._view = None
            logging.getLogger("contemplate").warning("the run goes on, and cannot be shown: %r", error)


def view_here() -> GuardedView:
    """Return what can show a run where this code runs."""
    publisher = _publisher()
    return GuardedView(LinesView(sys.stderr) if publisher is None else CellView(publisher))


def _publisher() -> Publisher | None:
    # Whoever is in a notebook has imported it.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    # A shell on a terminal shows plain text only.
    if shell is None or "text/html" not in shell.display_formatter.active_types:
        return None
    publisher: Publisher = shell.display_pub
    return publisher
