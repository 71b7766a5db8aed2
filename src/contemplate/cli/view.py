"""What a view of a run is, and which one shows it: live on a terminal, lines elsewhere, JSON on request."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Protocol, TextIO

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
    drawn = is_drawn_on() and not options.plain
    markdown = drawn and not os.environ.get("NO_COLOR")
    # Log lines, and questions about tool calls, would be written over the live view.
    asks = bool(getattr(options, "mcp", ()))
    if drawn and not (options.quiet or asks) and options.log_level is None:
        from .live_view import LiveView

        return LiveView(markdown=markdown)
    return PlainView(quiet=options.quiet, markdown=markdown)


def is_drawn_on(stream: TextIO | None = None) -> bool:
    """Return whether a stream, standard output if None, is a terminal that can be drawn on, and there is what draws."""
    stream = stream or sys.stdout
    if not stream.isatty():
        return False
    try:
        from rich.console import Console
    except ImportError:
        return False
    console = Console(file=stream)
    # Neither moves its cursor by what is written there.
    return not (console.is_dumb_terminal or console.legacy_windows)
