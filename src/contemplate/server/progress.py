"""How a run is getting on, in short lines for people."""

from __future__ import annotations

from ..events import (
    Event,
    LimitReached,
    Noted,
    PlanDelta,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    VoteCounted,
)
from ..plan import Task
from ..result import Outcome, TaskResult
from .problems import safe

MAX_LINE = 300

_ENDS: dict[Outcome, str] = {
    "answered": "Finished",
    "capped": "Cut short",
    "failed": "Failed",
    "cancelled": "Stopped",
}


class Progress:
    """Tells the events of one run.

    A task that is the question itself gets no lines of its own, unless it fails: its answer is the news.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._planning = False

    def line(self, event: Event) -> str | None:
        """What there is to say of `event`, without a line break; None if nothing."""
        said = self._said(event)
        if said is None:
            return None
        flat = " ".join(safe(said).split())
        return flat if len(flat) <= MAX_LINE else flat[: MAX_LINE - 3] + "..."

    def _said(self, event: Event) -> str | None:
        match event:
            case PlanDelta() if not self._planning:
                self._planning = True
                return "Planning"
            case TaskPlanned(task=task):
                self._tasks[task.id] = task
                return self._planned(task)
            case TaskStarted(task_id=task_id) if self._is_news(task_id):
                return f"Started: {self._label(task_id)}"
            case TaskFinished(result=result) if self._is_news(result.id) or result.outcome == "failed":
                return _finished(result)
            case ToolStarted(task_id=task_id, tool=tool):
                return f"Tool {tool}: {self._label(task_id)}"
            case ToolFinished(tool=tool, error=error) if error is not None:
                return f"Tool {tool} failed: {error.message}"
            case VoteCounted(votes=votes, decided=decided):
                counted = ", ".join(f"{answer} ({number})" for answer, number in votes.items())
                return f"Votes: {counted}{'; decided' if decided else ''}"
            case Noted(message=message):
                return f"Note: {message}"
            case LimitReached(limit=limit):
                return f"Limit reached: {limit}"
        return None

    def _planned(self, task: Task) -> str | None:
        if task.kind == "answer":
            return None
        needs = ", ".join(map(self._label, task.needs))
        return f"Planned: {task.label}{f' (after {needs})' if needs else ''}"

    def _is_news(self, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is None or task.kind != "answer"

    def _label(self, task_id: str) -> str:
        task = self._tasks.get(task_id)
        return task_id if task is None else task.label


def _finished(result: TaskResult) -> str:
    why = f": {result.error.message}" if result.error is not None else ""
    return f"{_ENDS[result.outcome]}: {result.task.label} ({result.seconds:.1f} s){why}"
