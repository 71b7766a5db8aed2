"""The runs within the tasks of a run, each task's in a few words: how many tasks and calls, and who is ahead."""

from __future__ import annotations

from dataclasses import dataclass

from ..events import Event, ModelCalled, StandingsChanged, TaskFinished, TaskPlanned, VoteCounted
from .summary import leading


@dataclass
class _Counts:
    planned: int = 0
    done: int = 0
    calls: int = 0
    leading: str = ""


class InnerRuns:
    """Counts what the runs within tasks do; give it every event."""

    def __init__(self) -> None:
        self._counts: dict[str, _Counts] = {}
        self._owners: dict[str, str] = {}

    def add(self, event: Event) -> None:
        """Count what an event says."""
        if not event.path:
            if isinstance(event, TaskPlanned):
                self._counts[event.task.id] = _Counts()
            return
        owner = self._owner(event.path)
        if owner is None:
            return
        counts = self._counts[owner]
        match event:
            case TaskPlanned():
                counts.planned += 1
            case TaskFinished():
                counts.done += 1
            case ModelCalled(usage=usage):
                counts.calls += usage.calls
            case VoteCounted() | StandingsChanged() if "/" not in event.path.removeprefix(owner):
                counts.leading = leading(event)
            case _:
                pass

    def text(self, task_id: str) -> str:
        """Return what goes on within a task, such as "3/5 tasks, 7 calls, 2 of 3 said 42"; "" if nothing does."""
        counts = self._counts.get(task_id, _Counts())
        said = [f"{counts.done}/{counts.planned} tasks"] if counts.planned > 1 else []
        if counts.calls:
            said.append("1 call" if counts.calls == 1 else f"{counts.calls} calls")
        return ", ".join([*said, *filter(None, [counts.leading])])

    def _owner(self, path: str) -> str | None:
        """Return the task within which the run at `path` is: the path is its id, and what follows a "/" or a "#"."""
        if path not in self._owners:
            ends = [at for at in range(len(path), 0, -1) if at == len(path) or path[at] in "/#"]
            owner = next((path[:end] for end in ends if path[:end] in self._counts), None)
            if owner is None:
                return None
            self._owners[path] = owner
        return self._owners[path]
