"""What a view of a run is, and which one shows it: live on a terminal, lines elsewhere, JSON on request."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Protocol

from ..events import Event
from ..result import ErrorInfo, RunResult
from .json_view import JsonEventsView, JsonView
from .plain_view import PlainView


class View(Protocol):
    """Something that shows a run. Either `finish` or `stop` is the last thing that it is told."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def finish(self, result: RunResult[str]) -> None:
        """Show how the run ended."""

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Show what had been reached when an error or a signal stopped the run; `error` itself is told elsewhere."""


def view_for(options: argparse.Namespace) -> View:
    """Return the view that `options` ask for, and that the terminal can show."""
    if options.events:
        return JsonEventsView()
    if options.json:
        return JsonView(quiet=options.quiet)
    # Log lines, and questions about tool calls, would be written over the live view.
    asks = bool(getattr(options, "mcp", ()))
    if sys.stdout.isatty() and not (options.quiet or asks) and options.log_level is None:
        try:
            from .live_view import LiveView
        except ImportError:
            pass
        else:
            return LiveView()
    return PlainView(quiet=options.quiet)
