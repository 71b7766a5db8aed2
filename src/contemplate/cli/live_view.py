"""The live view on a terminal: the plan as it is written, the subagents at work, then the answer as it streams."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.spinner import Spinner
from rich.text import Text

from ..events import Event, LimitReached, Noted, OutputDelta
from ..result import ErrorInfo, RunResult
from ..views.event_lines import limit_reached, note
from ..views.printable import printable
from ..views.run_stage import RunStage
from ..views.summary import partial_text, summary_line
from ..views.task_states import TaskStates
from .answer_view import AnswerView, new_answer, show_whole
from .footer import FOOTER_LINES, filled
from .live_area import LiveArea
from .task_rows import TaskRows

# Lines of the terminal that are left to what is below the rows.
SPARE_LINES = 4


class LiveView:
    """Shows a run in place while it works, and leaves the finished rows and the answer in the scrollback.

    Args:
        markdown: whether the answer is shown as Markdown, or as the model wrote it.
    """

    def __init__(self, *, markdown: bool) -> None:
        self._markdown = markdown
        self._console = Console(highlight=False)
        self._area: LiveArea | None = None
        self._tasks = TaskStates()
        self._rows = TaskRows(self._console, self._tasks)
        self._stage = RunStage()
        self._spinner = Spinner("dots")
        self._answer: AnswerView | None = None
        self._written = ""
        self._over = False

    def show(self, event: Event) -> None:
        """Show an event."""
        self._stage.add(event)
        self._tasks.add(event)
        if event.path:
            return
        match event:
            case Noted(message=message):
                self._line(note(message))
            case LimitReached(limit=limit):
                self._line(limit_reached(limit))
            case OutputDelta():
                self._show_answer(event)
            case _:
                pass
        self._refresh()

    def finish(self, result: RunResult[str]) -> None:
        """Show the answer, unless it has streamed, and what it cost."""
        self._close()
        self._end_answer()
        if not result.pending and self._written.strip() != result.text.strip():
            if self._tasks and not self._written:
                self._console.print()
            show_whole(result.text.strip() + "\n", markdown=self._markdown)
        self._console.print(Text(summary_line(result), style="dim"))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Show what there is, unless the answer had begun to stream."""
        self._tasks.stop()
        self._close()
        self._end_answer()
        texts = partial_text(partial) if partial is not None and not self._written else ""
        if texts:
            self._console.print()
            show_whole(f"{texts}\n", markdown=self._markdown)

    def _show_answer(self, event: OutputDelta) -> None:
        if event.restart and self._written:
            self._end_answer()
            self._console.print(Text("[the connection broke off; the answer starts over]", style="yellow"))
            self._written = ""
        if not event.text:
            return
        if self._area is not None:
            self._close()
            if self._tasks:
                self._console.print()
        self._written += event.text
        if self._answer is None:
            self._answer = new_answer(markdown=self._markdown)
        self._answer.write(event.text)

    def _line(self, text: str) -> None:
        with nullcontext(self._console) if self._area is None else self._area.above() as console:
            console.print(Text(printable(text), style="yellow"))

    def _end_answer(self) -> None:
        if self._answer is not None:
            self._answer.end()
            self._answer = None

    def _refresh(self) -> None:
        if self._area is None and not self._over:
            self._area = LiveArea(self._console, self._shown)
            self._area.start()

    def _close(self) -> None:
        self._over = True
        if self._area is not None:
            self._area.stop()
            self._area = None

    def _shown(self) -> RenderableType:
        if self._over:
            return self._rows.table()
        room = max(1, self._console.height - SPARE_LINES)
        return Group(*self._rows.lines(room), *self._footer())

    def _footer(self) -> list[Text]:
        wheel = self._spinner.render(self._console.get_time())
        parts = [" ".join(printable(each).split()) for each in self._stage.parts(self._tasks, self._rows.end_of)]
        # A line that is full would break where ^C is echoed.
        lines = filled(parts, self._console.width - 5)
        marks = (str(wheel), *" " * FOOTER_LINES)
        return [Text.assemble((mark, "cyan"), " ", (line, "dim")) for mark, line in zip(marks, lines, strict=False)]
