"""A run as JSON on standard output: one document, or every event as a line."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from ..events import Event
from ..result import ErrorInfo, RunResult
from ..views.summary import summary_line
from .console import write
from .plain_view import PlainView

# What images hold is left out of the events: it may be megabytes a line.
_IMAGE_DATA: Any = {
    "result": {"images": {"__all__": {"data"}}, "messages": {"__all__": {"parts": {"__all__": {"data"}}}}}
}


class JsonEventsView:
    """Prints every event as one line of JSON, without the data of images."""

    def show(self, event: Event) -> None:
        """Print the event."""
        write(event.model_dump_json(exclude=_IMAGE_DATA) + "\n")

    def finish(self, result: RunResult[str]) -> None:
        """Print nothing more: the last event has said it."""

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Print nothing more: the events so far are what had been reached."""


class JsonView(PlainView):
    """Prints one JSON document at the end; the progress is the plain view's."""

    def finish(self, result: RunResult[str]) -> None:
        """Print the result, and what it cost."""
        self._end()
        write(result.model_dump_json(indent=2) + "\n")
        self._say(summary_line(result))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Print the error, and the partial result if there is one."""
        self._end()
        document = {
            "error": error.model_dump(),
            "partial": None if partial is None else partial.model_dump(mode="json"),
        }
        write(to_json(document, indent=2).decode() + "\n")
