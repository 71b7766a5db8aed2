"""The task graph of a run: which task may start, and when. Constant time per edge, no clock, no event loop."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import PlanError
from ..plan import Task, problem_with


class TaskGraph:
    """The tasks that wait for the results of others."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._done: set[str] = set()
        self._waits_for: dict[str, int] = {}
        self._tasks: dict[str, Task] = {}
        self._dependents: dict[str, list[str]] = {}

    @property
    def waiting(self) -> list[Task]:
        """The tasks that are not ready yet."""
        return list(self._tasks.values())

    def check(self, tasks: Iterable[Task]) -> None:
        """Check that `tasks` can be added, one after the other.

        Raises:
            PlanError: an id is taken, or a task needs one that comes neither before it nor was added.
        """
        ids = set(self._ids)
        for task in tasks:
            _require_plannable(task, ids)
            ids.add(task.id)

    def add(self, task: Task) -> bool:
        """Add a task, and return whether it is ready at once.

        Raises:
            PlanError: its id is taken, or it needs a task that was not added before.
        """
        _require_plannable(task, self._ids)
        self._ids.add(task.id)
        missing = {need for need in task.needs if need not in self._done}
        if not missing:
            return True
        self._tasks[task.id] = task
        self._waits_for[task.id] = len(missing)
        for need in missing:
            self._dependents.setdefault(need, []).append(task.id)
        return False

    def finish(self, task_id: str) -> list[Task]:
        """Mark a task as done, however it ended, and return the tasks that become ready."""
        self._done.add(task_id)
        ready: list[Task] = []
        for dependent in self._dependents.pop(task_id, ()):
            self._waits_for[dependent] -= 1
            if self._waits_for[dependent] == 0:
                del self._waits_for[dependent]
                ready.append(self._tasks.pop(dependent))
        return ready


def _require_plannable(task: Task, earlier: set[str]) -> None:
    """Check that `task` can follow tasks with the ids `earlier`.

    Raises:
        PlanError: its id is taken, or it needs itself or a task that was not planned before.
    """
    problem = problem_with(task, earlier)
    if problem is not None:
        raise PlanError(problem, hint="yield a task after the tasks that it needs, and give each its own id")
