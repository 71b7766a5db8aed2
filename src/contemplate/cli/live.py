"""The live view on a terminal: the plan as it is written, the subagents at work, then the answer as it streams."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import rich.live
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..events import (
    Event,
    LimitReached,
    Noted,
    OutputDelta,
    PlanDelta,
    PlanReady,
    RunStarted,
    TaskDelta,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    ToolStarted,
)
from ..plan import Task
from ..result import ErrorInfo, RunResult, TaskResult
from .words import printable, reached, summary, why

WAITING, AT_WORK, STOPPED = ("·", "dim"), ("▸", "cyan"), ("-", "dim")
MARKS = {"answered": ("✓", "green"), "capped": ("◐", "yellow"), "failed": ("✗", "red"), "cancelled": STOPPED}
TAIL = 400
REFRESHES_PER_SECOND = 12
# Lines of the terminal that are left to what is below the rows.
SPARE_LINES = 3


@dataclass(eq=False)
class _Row:
    task: Task
    mark: tuple[str, str] = WAITING
    said: str = "waiting"

    @property
    def rank(self) -> int:
        """What is shown first where there is no room for all: those at work, those to come, those done."""
        return (AT_WORK, WAITING).index(self.mark) if self.mark in (AT_WORK, WAITING) else 2


class Live:
    """Shows a run in place while it works, and leaves the finished rows and the answer in the scrollback."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live: rich.live.Live | None = None
        self._rows: dict[str, _Row] = {}
        self._model = ""
        self._plan: str | None = None
        self._thought = ""
        self._written = ""
        self._over = False

    def show(self, event: Event) -> None:
        """Show an event."""
        match event:
            case RunStarted(model=model):
                self._model = model
            case PlanDelta(text=text):
                self._plan = ((self._plan or "") + text)[-TAIL:]
            case PlanReady():
                self._plan = None
            case Noted(message=message):
                self._line(f"note: {message}")
            case LimitReached(limit=limit):
                self._line(f"limit reached: {limit}; concluding from what arrived")
            case OutputDelta():
                self._answer(event)
            case _:
                self._task(event)
        self._refresh()

    def finish(self, result: RunResult[str]) -> None:
        """Show the answer, unless it has streamed, and what it cost."""
        self._close()
        self._end_line()
        if self._written.strip() != result.text.strip():
            _write(result.text.strip() + "\n")
        self._console.print(Text(summary(result), style="dim"))

    def stop(self, error: ErrorInfo, partial: RunResult[Any] | None) -> None:
        """Show what there is, unless the answer had begun to stream."""
        for row in self._rows.values():
            if row.rank < 2:
                row.mark, row.said = STOPPED, "stopped" if row.mark == AT_WORK else "not started"
        self._close()
        self._end_line()
        texts = reached(partial) if partial is not None and not self._written else ""
        if texts:
            _write(f"\n{texts}\n")

    def _task(self, event: Event) -> None:
        match event:
            case TaskPlanned(task=task) if task.kind != "answer":
                self._rows[task.id] = _Row(task, said=f"waits for {', '.join(task.needs)}" if task.needs else "waiting")
            case TaskStarted(task_id=task_id) if task_id in self._rows:
                self._rows[task_id].mark, self._rows[task_id].said = AT_WORK, ""
            case TaskDelta(task_id=task_id) if task_id in self._rows:
                row = self._rows[task_id]
                kept = "" if event.restart else row.said
                row.said = (kept + event.text + event.reasoning)[-TAIL:]
            case ToolStarted(task_id=task_id, tool=tool) if task_id in self._rows:
                self._rows[task_id].said = f"uses {tool} ..."
            case TaskFinished(result=result) if result.id in self._rows:
                row = self._rows[result.id]
                row.mark = MARKS[result.outcome]
                row.said = _came_of(result)
            case _:
                pass

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
        _write(event.text)

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
        rows = list(self._rows.values())
        if self._over:
            return self._table(rows)
        room = max(1, self._console.height - SPARE_LINES)
        first = set(sorted(rows, key=lambda row: row.rank)[:room])
        lines = [self._table([row for row in rows if row in first])] if rows else []
        if len(rows) > room:
            lines.append(Text(f"  and {len(rows) - room} more", "dim"))
        return Group(*lines, *self._footer())

    def _table(self, rows: list[_Row]) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, min_width=1)
        table.add_column(no_wrap=True)
        table.add_column()
        for row in rows:
            sign, style = row.mark
            label, said = Text(printable(row.task.label)), Text(printable(row.said), style)
            if row.mark == AT_WORK:
                said = Text(self._end_of(row.said), "dim")
            label.truncate(self._label_width, overflow="ellipsis")
            if not self._over:
                said.truncate(self._room, overflow="ellipsis")
            table.add_row(Text(sign, style), label, said)
        return table

    def _footer(self) -> list[Text]:
        # Rich draws in a thread of its own: what may change meanwhile is read once.
        plan = self._plan
        if self._thought:
            doing, text = "thinking", self._thought
        elif plan is not None:
            doing, text = "planning", plan
        elif not self._rows:
            doing, text = "asking", self._model
        elif all(row.rank == 2 for row in self._rows.values()):
            doing, text = "merging", ""
        else:
            return []
        return [Text.assemble((f"{doing} ", "cyan"), (self._end_of(text), "dim"), no_wrap=True, overflow="ellipsis")]

    @property
    def _label_width(self) -> int:
        return max(5, self._console.width // 3)

    @property
    def _room(self) -> int:
        """Cells beside a label. Some are left free: a line that is full would break where ^C is echoed."""
        return max(5, self._console.width - self._label_width - 7)

    def _end_of(self, text: str) -> str:
        """The end of a text that is being written, as much as fits beside a label."""
        room = self._room
        flat = printable(" ".join(text.split()))
        if cell_len(flat) <= room:
            return flat
        flat = flat[1 - room :]
        while cell_len(flat) >= room:
            flat = flat[1:]
        return "…" + flat


def _came_of(result: TaskResult) -> str:
    if result.error is not None:
        return f"{result.outcome}{why(result)}"
    return f"{result.outcome}, {result.seconds:.1f} s, {result.usage.output_tokens:,} tokens"


def _write(text: str) -> None:
    sys.stdout.write(printable(text))
    sys.stdout.flush()
