"""The live view on a terminal: the plan as it is written, the subagents at work, then the answer as it streams."""

from __future__ import annotations

import re
from typing import Any

import rich.live
from rich.console import Console, Group, RenderableType
from rich.spinner import Spinner
from rich.text import Text

from ..events import Event, LimitReached, Noted, OutputDelta, PlanDelta, PlanReady, RunStarted
from ..result import ErrorInfo, RunResult
from ..views.event_lines import limit_reached, note
from ..views.printable import printable
from ..views.summary import partial_text, summary_line
from .console import write_readable
from .pace import Pace
from .task_rows import TAIL, TaskRows

REFRESHES_PER_SECOND = 12
# Lines of the terminal that are left to what is below the rows.
SPARE_LINES = 3
PLAN_TAIL = 4000
_TITLE = re.compile(r'"title"\s*:\s*"((?:[^"\\]|\\.)*)')


class LiveView:
    """Shows a run in place while it works, and leaves the finished rows and the answer in the scrollback."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live: rich.live.Live | None = None
        self._rows = TaskRows(self._console)
        self._spinner = Spinner("dots")
        self._pace = Pace()
        self._model = ""
        self._plan: str | None = None
        self._thought = ""
        self._written = ""
        self._over = False

    def show(self, event: Event) -> None:
        """Show an event."""
        self._pace.add(event)
        if event.path:
            # A run within a task is shown by its task's row.
            return
        match event:
            case RunStarted(model=model):
                self._model = model
            case PlanDelta(text=text):
                self._plan = ((self._plan or "") + text)[-PLAN_TAIL:]
            case PlanReady():
                self._plan = None
            case Noted(message=message):
                self._line(note(message))
            case LimitReached(limit=limit):
                self._line(limit_reached(limit))
            case OutputDelta():
                self._answer(event)
            case _:
                self._rows.show(event)
        self._refresh()

    def finish(self, result: RunResult[str]) -> None:
        """Show the answer, unless it has streamed, and what it cost."""
        self._close()
        self._end_line()
        if not result.pending and self._written.strip() != result.text.strip():
            write_readable(result.text.strip() + "\n")
        self._console.print(Text(summary_line(result), style="dim"))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Show what there is, unless the answer had begun to stream."""
        self._rows.stop()
        self._close()
        self._end_line()
        texts = partial_text(partial) if partial is not None and not self._written else ""
        if texts:
            write_readable(f"\n{texts}\n")

    def _answer(self, event: OutputDelta) -> None:
        if event.restart and self._written:
            self._end_line()
            self._console.print(Text("[the connection broke off; the answer starts over]", style="yellow"))
            self._written = ""
        if not event.text:
            self._thought = (self._thought + event.reasoning)[-TAIL:]
            return
        if self._live is not None:
            self._close()
            if self._rows:
                self._console.print()
        self._written += event.text
        write_readable(event.text)

    def _line(self, text: str) -> None:
        self._console.print(Text(printable(text), style="yellow"))

    def _end_line(self) -> None:
        if self._written and not self._written.endswith("\n"):
            self._console.print()

    def _refresh(self) -> None:
        if self._live is None and not self._over:
            self._live = rich.live.Live(
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                vertical_overflow="crop",
                get_renderable=self._shown,
            )
            self._live.start()

    def _close(self) -> None:
        self._over = True
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _shown(self) -> RenderableType:
        if self._over:
            return self._rows.table()
        room = max(1, self._console.height - SPARE_LINES)
        return Group(*self._rows.lines(room), *self._footer())

    def _footer(self) -> list[Text]:
        # Rich draws in a thread of its own: what may change meanwhile is read once.
        plan = self._plan
        if self._thought:
            doing = f"thinking {self._rows.end_of(self._thought)}"
        elif plan is not None:
            doing = f"planning {_last_title(plan)}"
        elif not self._rows:
            doing = f"asking {self._model}"
        else:
            doing = "merging" if self._rows.done else ""
        wheel = self._spinner.render(self._console.get_time())
        said = " · ".join(filter(None, (self._pace.text(), printable(doing).strip())))
        line = Text.assemble((str(wheel), "cyan"), " ", (said, "dim"), no_wrap=True)
        # A line that is full would break where ^C is echoed.
        line.truncate(self._console.width - 3, overflow="ellipsis")
        return [line]


def _last_title(plan: str) -> str:
    """Return the title that was written last in a plan that is being written; "" if there is none yet."""
    titles = _TITLE.findall(plan)
    return titles[-1] if titles else ""
