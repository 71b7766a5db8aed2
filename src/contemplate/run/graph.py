"""The graph of a run: which task may start, and when. No clock, no loop, constant time for each edge."""

from __future__ import annotations

from ..errors import PlanError
from ..plan import Task, problem_with


class TaskGraph:
    """Tasks that are waiting for what they need."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._done: set[str] = set()
        self._waits_for: dict[str, int] = {}
        self._tasks: dict[str, Task] = {}
        self._dependents: dict[str, list[str]] = {}

    @property
    def waiting(self) -> list[Task]:
        """The tasks that have not become ready."""
        return list(self._tasks.values())

    def add(self, task: Task) -> bool:
        """Take in a task; True if it is ready at once.

        Raises:
            PlanError: its id is taken, or it needs a task that was not added before it.
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
        """A task is done, however it ended; the tasks that become ready by it."""
        self._done.add(task_id)
        ready: list[Task] = []
        for dependent in self._dependents.pop(task_id, ()):
            self._waits_for[dependent] -= 1
            if self._waits_for[dependent] == 0:
                del self._waits_for[dependent]
                ready.append(self._tasks.pop(dependent))
        return ready


def _require_plannable(task: Task, earlier: set[str]) -> None:
    """See that `task` can follow tasks with the ids `earlier`.

    Raises:
        PlanError: its id is taken, or it needs itself or a task that was not planned before it.
    """
    problem = problem_with(task, earlier)
    if problem is not None:
        raise PlanError(problem, hint="yield a task after the tasks that it needs, each with an id of its own")
