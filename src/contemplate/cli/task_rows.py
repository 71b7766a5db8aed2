"""The rows of the live view: one for each task, with what it is doing or what came of it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..plan import Task
from ..views.printable import printable
from ..views.task_states import Status, TaskState, TaskStates

_STOPPED = ("-", "dim")
MARKS: Mapping[Status, tuple[str, str]] = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "answered": ("✓", "green"),
    "capped": ("◐", "yellow"),
    "failed": ("✗", "red"),
    "cancelled": _STOPPED,
    "suspended": _STOPPED,
    "stopped": _STOPPED,
    "not started": _STOPPED,
}
# So many rows stay in the scrollback; who wants to see more of a run has `show` and `view`.
MOST_ROWS = 100
BRANCH = "└ "


class TaskRows:
    """The rows of a run's tasks.

    Args:
        console: where they are shown.
        states: what they show.
    """

    def __init__(self, console: Console, states: TaskStates) -> None:
        self._console = console
        self._states = states

    def table(self) -> RenderableType:
        """Return the rows in full, and how many more there are if they are too many."""
        return Group(*self._some(MOST_ROWS, cut=False))

    def lines(self, room: int) -> list[RenderableType]:
        """Return at most `room` rows of one line each, and then how many more there are."""
        return self._some(room, cut=True)

    def _some(self, room: int, *, cut: bool) -> list[RenderableType]:
        states = self._states.chosen(room)
        lines = [self._table(states, cut=cut)] if states else []
        if len(self._states) > room:
            of = len(self._states)
            lines.append(Text(f"  and {of - room} more; {self._states.ended} of {of} are done", "dim"))
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

    def _table(self, states: list[TaskState], *, cut: bool) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, min_width=1)
        table.add_column(no_wrap=True)
        table.add_column()
        for state in states:
            sign, style = MARKS[state.status]
            said = Text(printable(state.said), style)
            if state.status == "running":
                within = self._states.within(state.task.id)
                said = Text(self.end_of(" · ".join(filter(None, (within, state.said)))), "dim")
            if cut:
                said.truncate(self._room, overflow="ellipsis")
            table.add_row(Text(sign, style), self._label(state.task), said)
        return table

    def _label(self, task: Task) -> Text:
        # Below a third of its width, a tree says nothing more.
        depth = min(self._states.depth(task.id), self._label_width // (3 * len(BRANCH)))
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
