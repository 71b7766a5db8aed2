"""How far a run has come: what was planned, what is running, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import anyio

from ..errors import PlanError
from ..plan import Task
from ..result import TaskResult
from .mailbox import Mailbox


class Progress:
    """The tasks and results of a run: the engine writes them down, planners and aggregators look at them.

    Attributes:
        planned: the tasks planned so far, in order.
        places: where each of them stands there, by id.
        plan_done: whether the planner has finished.
        expected: how many tasks there will be at most, if the planner says so: a vote may be decided before they are.
        outbox, running: the results for the aggregator, and the running tasks' cancel scopes; for the engine.
    """

    def __init__(self) -> None:
        self.planned: list[Task] = []
        self.places: dict[str, int] = {}
        self.plan_done = False
        self.expected: int | None = None
        self.outbox: Mailbox[TaskResult] = Mailbox()
        self.running: dict[str, anyio.CancelScope] = {}
        self._when_planned: list[Callable[[], None]] = []
        self._results: dict[str, TaskResult] = {}
        self._finished: dict[str, anyio.Event] = {}
        self._letters: dict[str, list[str]] = {}

    @property
    def results(self) -> Mapping[str, TaskResult]:
        """The results so far, by task id, in the order in which they came."""
        return MappingProxyType(self._results)

    async def finished(self, task_id: str) -> TaskResult:
        """Wait for the result of a task that was planned.

        Raises:
            PlanError: no such task was planned so far: its result might never come.
        """
        if task_id not in self._results:
            if task_id not in self.places:
                raise PlanError(f"no task {task_id!r} was planned", hint="yield it before you wait for its result")
            await self._finished.setdefault(task_id, anyio.Event()).wait()
        return self._results[task_id]

    async def undecided(self) -> None:
        """Wait until the aggregator has seen every result so far and wants more; if it concludes, the planner ends."""
        await self.outbox.read_out()

    def release(self, *task_ids: str) -> None:
        """Pass on to the aggregator the results of tasks that were `held`.

        Raises:
            PlanError: one of them has no result yet.
        """
        for task_id in task_ids:
            if task_id not in self._results:
                raise PlanError(f"task {task_id!r} has no result to release", hint="wait for it: `ctx.finished(id)`")
            result = self._results[task_id]
            if result.task.held:
                # The plan tells afterwards what was passed on, so that the run can be concluded once more.
                task = self.planned[result.index] = result.task.model_copy(update={"held": False})
                result = self._results[task_id] = result.model_copy(update={"task": task})
                self.outbox.put(result)

    def release_if_nothing_else(self) -> bool:
        """Release what is held if no other task was answered; whether it was so. For the engine."""
        answered = [result for result in self._results.values() if result.answered]
        if not answered or not all(result.task.held for result in answered):
            return False
        self.release(*(task.id for task in self.planned if task.held and task.id in self._results))
        return True

    def interrupt(self, task_id: str) -> bool:
        """Stop a task that is running, and say whether it was. What it had written is kept; it counts as cancelled."""
        scope = self.running.get(task_id)
        if scope is not None:
            scope.cancel()
        return scope is not None

    def tell(self, task_id: str, text: str) -> bool:
        """Say something to the subagent of a running task, and say whether it was; it hears it before its next turn."""
        if task_id not in self.running:
            return False
        self._letters.setdefault(task_id, []).append(text)
        return True

    def told(self, task_id: str) -> Sequence[str]:
        """What was said to the subagent of a task since it was last asked for."""
        return self._letters.pop(task_id, ())

    def add(self, task: Task) -> None:
        """A task was planned. For the engine."""
        self.places[task.id] = len(self.planned)
        self.planned.append(task)

    def when_planned(self, call: Callable[[], None]) -> None:
        """Have `call` called when the planner has finished, if it has not."""
        self._when_planned.append(call)

    def finish_planning(self) -> None:
        """The planner has finished. For the engine."""
        self.plan_done = True
        for call in self._when_planned:
            call()

    def inputs(self, task: Task) -> Sequence[TaskResult]:
        """The results of what `task` needs, in the order in which it names them."""
        return [self._results[need] for need in task.needs]

    def record(self, result: TaskResult) -> None:
        """Keep a result, and wake whoever waits for it. For the engine."""
        self._results[result.id] = result
        waiter = self._finished.pop(result.id, None)
        if waiter is not None:
            waiter.set()
        if not result.task.held:
            self.outbox.put(result)
