"""The live view on a terminal: the plan as it is written, the subagents at work, then the answer as it streams."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import rich.live
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
    TaskDelta,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    ToolStarted,
)
from ..plan import Task
from ..result import RunResult
from .views import reached, summary, why

MARKS = {"answered": ("✓", "green"), "capped": ("◐", "yellow"), "failed": ("✗", "red"), "cancelled": ("-", "dim")}
TAIL = 400
REFRESHES_PER_SECOND = 12


@dataclass
class _Row:
    task: Task
    mark: str = "·"
    style: str = "dim"
    said: str = "waiting"


class Live:
    """Shows a run in place while it works, and leaves the finished rows and the answer in the scrollback."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live: rich.live.Live | None = None
        self._rows: dict[str, _Row] = {}
        self._plan: str | None = None
        self._written = ""

    def show(self, event: Event) -> None:
        """Show an event."""
        match event:
            case OutputDelta():
                self._answer(event)
                return
            case PlanDelta(text=text):
                self._plan = ((self._plan or "") + text)[-TAIL:]
            case PlanReady():
                self._plan = None
            case Noted(message=message):
                self._line(f"note: {message}", "yellow")
            case LimitReached(limit=limit):
                self._line(f"limit reached: {limit}; concluding from what arrived", "yellow")
            case _:
                self._task(event)
        self._refresh()

    def finish(self, result: RunResult[str]) -> None:
        """Show the answer, unless it has streamed, and what it cost."""
        self.close()
        if not self._written or self._written.strip() != result.text.strip():
            self._console.print(Text(result.text.strip()))
        elif not self._written.endswith("\n"):
            self._console.print()
        self._console.print(Text(summary(result), style="dim"))

    def interrupt(self, partial: RunResult[str]) -> None:
        """Show what there is."""
        self.close()
        if not self._written:
            self._console.print(Text(reached(partial)))
        self._console.print(Text("\ninterrupted", style="yellow"))

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.update(self._table(len(self._rows)), refresh=True)
            self._live.stop()
            self._live = None

    def _task(self, event: Event) -> None:
        match event:
            case TaskPlanned(task=task) if task.kind != "answer":
                self._rows[task.id] = _Row(task, said=f"waits for {', '.join(task.needs)}" if task.needs else "waiting")
            case TaskStarted(task_id=task_id) if task_id in self._rows:
                self._set(task_id, "▸", "cyan", "")
            case TaskDelta(task_id=task_id) if task_id in self._rows:
                row = self._rows[task_id]
                kept = "" if event.restart else row.said
                row.said = (kept + event.text + event.reasoning)[-TAIL:]
            case ToolStarted(task_id=task_id, tool=tool) if task_id in self._rows:
                self._rows[task_id].said = f"uses {tool} ..."
            case TaskFinished(result=result) if result.id in self._rows:
                mark, style = MARKS[result.outcome]
                said = f"{result.outcome}, {result.seconds:.1f} s, {result.usage.output_tokens:,} tokens{why(result)}"
                self._set(result.id, mark, style, said)
            case _:
                pass

    def _set(self, task_id: str, mark: str, style: str, said: str) -> None:
        row = self._rows[task_id]
        row.mark, row.style, row.said = mark, style, said

    def _answer(self, event: OutputDelta) -> None:
        self.close()
        if not self._written and self._rows:
            self._console.print()
        if event.restart and self._written:
            self._console.print(Text("\n[the connection broke off; the answer starts over]", style="yellow"))
            self._written = ""
        self._written += event.text
        sys.stdout.write(event.text)
        sys.stdout.flush()

    def _line(self, text: str, style: str) -> None:
        console = self._console if self._live is None else self._live.console
        console.print(Text(text, style=style))

    def _refresh(self) -> None:
        if self._written or (not self._rows and self._plan is None):
            return
        if self._live is None:
            self._live = rich.live.Live(
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                vertical_overflow="crop",
                get_renderable=lambda: self._table(max(1, self._console.height - 3)),
            )
            self._live.start()

    def _table(self, height: int) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(no_wrap=True, max_width=max(12, self._console.width // 3), overflow="ellipsis")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        rows = list(self._rows.values())
        for row in rows[-height:]:
            at_work = row.mark == "▸"
            said = Text(_last_line(row.said, self._room), "dim") if at_work else Text(row.said, row.style)
            table.add_row(Text(row.mark, row.style), Text(row.task.label), said)
        if self._plan is None:
            return table
        return Group(table, Text.assemble(("planning ", "cyan"), (_last_line(self._plan, self._room), "dim")))

    @property
    def _room(self) -> int:
        return max(10, self._console.width - self._console.width // 3 - 6)


def _last_line(text: str, room: int) -> str:
    """The end of a text that is being written, in one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= room else "…" + flat[1 - room :]
