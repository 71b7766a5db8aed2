"""The rows of the live view: one for each task, with what it is doing or what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..events import Event, TaskDelta, TaskFinished, TaskPlanned, TaskStarted, ToolProgress, ToolStarted
from ..plan import Task
from ..views.event_lines import task_end, tool_progress, tool_use
from ..views.printable import printable
from .inner_runs import InnerRuns
from .plan_tree import PlanTree

WAITING, AT_WORK, STOPPED = ("·", "dim"), ("▸", "cyan"), ("-", "dim")
MARKS = {
    "answered": ("✓", "green"),
    "capped": ("◐", "yellow"),
    "failed": ("✗", "red"),
    "cancelled": STOPPED,
    "suspended": STOPPED,
}
TAIL = 400
# So many rows stay in the scrollback; who wants to see more of a run has `show` and `view`.
MOST_ROWS = 100
BRANCH = "└ "


@dataclass(eq=False)
class _Row:
    task: Task
    mark: tuple[str, str] = WAITING
    said: str = "waiting"

    @property
    def rank(self) -> int:
        """Return what is shown first where there is no room for all: those at work, those to come, those done."""
        return (AT_WORK, WAITING).index(self.mark) if self.mark in (AT_WORK, WAITING) else 2


class TaskRows:
    """The rows of a run's tasks as a tree: each task stands below one that it needs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, _Row] = {}
        self._tree = PlanTree()
        self._within = InnerRuns()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def done(self) -> bool:
        """Return whether all tasks have come to an end."""
        return all(row.rank == 2 for row in list(self._rows.values()))

    def show(self, event: Event) -> None:
        """Show what an event says of a task; what happens in a run within one is counted in its row."""
        self._within.add(event)
        if event.path:
            return
        match event:
            case TaskPlanned(task=task) if task.kind != "answer":
                self._rows[task.id] = _Row(task, said=self._waiting(task))
                self._tree.add(task)
            case TaskStarted(task_id=task_id) if task_id in self._rows:
                self._rows[task_id].mark, self._rows[task_id].said = AT_WORK, ""
            case TaskDelta(task_id=task_id) if task_id in self._rows:
                row = self._rows[task_id]
                kept = "" if event.restart else row.said
                row.said = (kept + event.text + event.reasoning)[-TAIL:]
            case ToolStarted(task_id=task_id, tool=tool) if task_id in self._rows:
                self._rows[task_id].said = f"{tool_use(tool)} ..."
            case ToolProgress(task_id=task_id) if task_id in self._rows:
                self._rows[task_id].said = f"{tool_progress(event)} ..."
            case TaskFinished(result=result) if result.id in self._rows:
                row = self._rows[result.id]
                row.mark = MARKS[result.outcome]
                written = f", {result.usage.output_tokens:,} tokens" if result.error is None else ""
                within = self._within.text(result.id)
                row.said = f"{task_end(result)}{written}{f' ({within})' if within else ''}"
            case _:
                pass

    def _waiting(self, task: Task) -> str:
        """Return what a task waits for, by the names in view."""
        needs = [self._rows[need].task.label if need in self._rows else need for need in task.needs]
        return f"waits for {', '.join(needs)}" if needs else "waiting"

    def stop(self) -> None:
        """Show that no task goes on."""
        for row in self._rows.values():
            if row.rank < 2:
                row.mark, row.said = STOPPED, "stopped" if row.mark == AT_WORK else "not started"

    def table(self) -> RenderableType:
        """Return the rows in full, and how many more there are if they are too many."""
        return Group(*self._some(MOST_ROWS, cut=False))

    def lines(self, room: int) -> list[RenderableType]:
        """Return at most `room` rows of one line each, and then how many more there are."""
        return self._some(room, cut=True)

    def _some(self, room: int, *, cut: bool) -> list[RenderableType]:
        rows = [self._rows[each] for each in self._tree.order]
        # Of those that are over, first those of which something is missing.
        first = set(sorted(rows, key=lambda row: (row.rank, row.mark == MARKS["answered"]))[:room])
        lines = [self._table([row for row in rows if row in first], cut=cut)] if rows else []
        if len(rows) > room:
            done = sum(row.rank == 2 for row in rows)
            lines.append(Text(f"  and {len(rows) - room} more; {done} of {len(rows)} are done", "dim"))
        return lines

    def end_of(self, text: str) -> str:
        """Return the end of a text that is being written, as much as fits beside a label."""
        room = self._room
        flat = printable(" ".join(text.split()))
        if cell_len(flat) <= room:
            return flat
        flat = flat[1 - room :]
        while cell_len(flat) >= room:
            flat = flat[1:]
        return "…" + flat

    def _table(self, rows: list[_Row], *, cut: bool) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, min_width=1)
        table.add_column(no_wrap=True)
        table.add_column()
        for row in rows:
            sign, style = row.mark
            said = Text(printable(row.said), style)
            if row.mark == AT_WORK:
                said = Text(self.end_of(" · ".join(filter(None, (self._within.text(row.task.id), row.said)))), "dim")
            if cut:
                said.truncate(self._room, overflow="ellipsis")
            table.add_row(Text(sign, style), self._label(row.task), said)
        return table

    def _label(self, task: Task) -> Text:
        # Below a third of its width, a tree says nothing more.
        depth = min(self._tree.depth(task.id), self._label_width // (3 * len(BRANCH)))
        branch = "" if not depth else " " * len(BRANCH) * (depth - 1) + BRANCH
        label = Text.assemble((branch, "dim"), printable(" ".join(task.label.split())))
        label.truncate(self._label_width, overflow="ellipsis")
        return label

    @property
    def _label_width(self) -> int:
        return max(5, self._console.width // 3)

    @property
    def _room(self) -> int:
        # Cells beside a label. Some are left free: a line that is full would break where ^C is echoed.
        return max(5, self._console.width - self._label_width - 7)
