"""The tasks of a plan as a tree: each stands below a task that it needs."""

from __future__ import annotations

from ..plan import Task


class PlanTree:
    """Puts tasks in the order of a tree, as they are planned.

    A task with several needs stands below the one that is deepest in the tree; a view names the others.
    """

    def __init__(self) -> None:
        self._order: list[str] = []
        self._depths: dict[str, int] = {}

    def add(self, task: Task) -> bool:
        """Add a task that was planned, and return whether it stands at the end, below the one that it needs."""
        needs = {need for need in task.needs if need in self._depths}
        depth = max((self._depths[need] + 1 for need in needs), default=0)
        place = len(self._order)
        if needs:
            deepest = {need for need in needs if self._depths[need] == depth - 1}
            place = max(at for at, each in enumerate(self._order, 1) if each in deepest)
        while place < len(self._order) and self._depths[self._order[place]] >= depth:
            place += 1
        at_end = place == len(self._order)
        self._order.insert(place, task.id)
        self._depths[task.id] = depth
        return at_end

    @property
    def order(self) -> list[str]:
        """The ids of the tasks, from the top down."""
        return self._order.copy()

    def depth(self, task_id: str) -> int:
        """Return how many tasks stand above a task: 0 for one that needs none."""
        return self._depths[task_id]
