"""How far a run has come: what was planned, what is running, what came of it. The engine alone writes it.

What planners, agents and aggregators may see of it, and ask of it, is in `RunContext`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import anyio

from ..errors import PlanError
from ..models import ToolSpec
from ..plan import Task
from ..result import Conclusion, TaskResult
from .mailbox import Mailbox

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


class RunState:
    """The tasks and results of a run, and how it is to end.

    Attributes:
        planned: the tasks planned so far, in order.
        places: where each of them stands there, by id.
        plan_done: whether the planner has finished.
        expected: how many tasks there will be at most, if the planner says so.
        outbox: the results for the aggregator.
        running: the running tasks' cancel scopes.
        tools: those that subagents have, as far as the agent says.
        notes: what was mended, dropped or given up.
        best: what to conclude if the aggregator does not come to an end.
        stopped_by: the limit that has cut the work.
        spawn: starts something in the run's task group.
        expire: does what the deadline would do.
    """

    def __init__(self) -> None:
        self.planned: list[Task] = []
        self.places: dict[str, int] = {}
        self.plan_done = False
        self.expected: int | None = None
        self.outbox: Mailbox[TaskResult] = Mailbox()
        self.running: dict[str, anyio.CancelScope] = {}
        self.tools: Sequence[ToolSpec] = ()
        self.notes: list[str] = []
        self.best: Callable[[], Conclusion] | None = None
        self.stopped_by: str | None = None
        self.spawn: Spawn | None = None
        self.expire: Callable[[], None] = lambda: None
        self._when_planned: list[Callable[[], None]] = []
        self._results: dict[str, TaskResult] = {}
        self._finished: dict[str, anyio.Event] = {}
        self._messages: dict[str, list[str]] = {}

    @property
    def results(self) -> Mapping[str, TaskResult]:
        """The results so far, by task id, in the order in which they came."""
        return MappingProxyType(self._results)

    # Written by the engine

    def add(self, task: Task) -> None:
        """Take in a planned task."""
        self.places[task.id] = len(self.planned)
        self.planned.append(task)

    def record(self, result: TaskResult) -> None:
        """Keep a result, and wake whoever waits for it."""
        self._results[result.id] = result
        waiter = self._finished.pop(result.id, None)
        if waiter is not None:
            waiter.set()
        if not result.task.held:
            self.outbox.put(result)

    def finish_planning(self) -> None:
        """Tell whoever waits for it that the planner has finished."""
        self.plan_done = True
        for call in self._when_planned:
            call()

    def release_if_nothing_else(self) -> bool:
        """Release what is held if no other task was answered; return whether it was so."""
        answered = [result for result in self._results.values() if result.answered]
        if not answered or not all(result.task.held for result in answered):
            return False
        self.release(*(task.id for task in self.planned if task.held and task.id in self._results))
        return True

    # Asked for by planners, agents and aggregators

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

    def when_planned(self, call: Callable[[], None]) -> None:
        """Have `call` called when the planner has finished, if it has not."""
        self._when_planned.append(call)

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

    def interrupt(self, task_id: str) -> bool:
        """Stop a task that is running, and return whether it was."""
        scope = self.running.get(task_id)
        if scope is not None:
            scope.cancel()
        return scope is not None

    def tell(self, task_id: str, text: str) -> bool:
        """Keep a message for the subagent of a running task, and return whether it is running."""
        if task_id not in self.running:
            return False
        self._messages.setdefault(task_id, []).append(text)
        return True

    def messages_for(self, task_id: str) -> Sequence[str]:
        """Return what was said to the subagent of a task since it was last asked for."""
        return self._messages.pop(task_id, ())

    def inputs(self, task: Task) -> Sequence[TaskResult]:
        """Return the results of what `task` needs, in the order in which it names them."""
        return [self._results[need] for need in task.needs]
