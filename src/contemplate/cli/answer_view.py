"""The answer on standard output, while it is written: as Markdown where that can be shown, else as it is."""

from __future__ import annotations

from typing import Protocol

from .console import write_readable


class AnswerView(Protocol):
    """An answer that is being shown. `end` is the last thing that it is told."""

    def write(self, text: str) -> None:
        """Show a piece more."""

    def end(self) -> None:
        """Show what is left, and end the line."""


class AnswerAsWritten:
    """Writes an answer as the model did."""

    def __init__(self) -> None:
        self._ends_a_line = True

    def write(self, text: str) -> None:
        """Write a piece."""
        if text:
            write_readable(text)
            self._ends_a_line = text.endswith("\n")

    def end(self) -> None:
        """End the line."""
        if not self._ends_a_line:
            write_readable("\n")
            self._ends_a_line = True


def new_answer(*, markdown: bool, live: bool = True) -> AnswerView:
    """Return an answer that is to be shown as Markdown, while it is written or when it is whole, or as it is."""
    if not markdown:
        return AnswerAsWritten()
    from .markdown_answer import MarkdownAnswer

    return MarkdownAnswer(live=live)


def show_whole(text: str, *, markdown: bool) -> None:
    """Show a text that is whole."""
    answer = new_answer(markdown=markdown, live=False)
    answer.write(text)
    answer.end()
