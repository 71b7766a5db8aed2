"""The state of a run: what was planned, what is running, and the results. Only the engine writes it.

Planners, agents and aggregators use it through `RunContext`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import anyio

from ..errors import PlanError, SideEffectsError
from ..models import Delta, ToolSpec
from ..plan import Task
from ..result import Conclusion, TaskResult
from .activity import Activity, waits_while
from .answer import Answer
from .clock import RunClock
from .mailbox import Mailbox
from .planner_steps import Planning
from .stillness import Stillness

# Where nobody knows how many tasks a planner will hand out at most.
MANY_TASKS = 16

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
RunTasks = Callable[[Iterable[Task]], Awaitable[tuple[TaskResult, ...]]]
# An agent, of a task and its context: what that is, is known further up only.
Assigned = Callable[..., Coroutine[Any, Any, Answer]]


class _Outbox(Mailbox[TaskResult]):
    """The results for the aggregator, which waits for the run's tasks while it waits for them."""

    async def __anext__(self) -> TaskResult:
        if not self.is_empty:
            return await super().__anext__()
        with waits_while(lambda: self.is_empty):
            return await super().__anext__()


class RunState:
    """The tasks and results of a run, and how it is to end.

    Attributes:
        planned: the tasks planned so far, in order.
        places: the index of each of them, by id.
        plan_done: whether the planner has finished.
        expected: the most tasks that there will be, if the planner declared it.
        most_tasks: the most tasks that there may be, as far as known before the run.
        planner: what the planner is doing.
        stillness: whether anything of the run moves.
        activity: the run, as something that is under way.
        clock: counts the seconds that the run works.
        side_effects: the names of the subagents' tools that must not be called for each of several attempts.
        outbox: the results for the aggregator.
        running: the cancel scopes of running tasks, by id.
        watchers: who is told of each piece that a subagent's model writes.
        assigned: the agents of tasks that the run's agent does not answer, by id.
        tools: the subagents' tools, if the agent declared them.
        notes: what was decided, repaired, dropped or given up.
        best: the conclusion to use if the aggregator does not return in time.
        stopped_by: the limit that cut the work short.
        spawn: starts a function in the run's task group.
        run_tasks: runs tasks beside the planner's.
        expire: does what the deadline would do.
        suspend: ends the work, and what concludes from it.
    """

    def __init__(self) -> None:
        self.planned: list[Task] = []
        self.places: dict[str, int] = {}
        self.plan_done = False
        self.expected: int | None = None
        self.most_tasks: int | None = None
        self.planner = Planning()
        self.stillness = Stillness()
        self.outbox: Mailbox[TaskResult] = _Outbox()
        self.running: dict[str, anyio.CancelScope] = {}
        self.watchers: list[Callable[[str, Delta], None]] = []
        self.assigned: dict[str, Assigned] = {}
        self.tools: Sequence[ToolSpec] = ()
        self.notes: list[str] = []
        self.best: Callable[[], Conclusion] | None = None
        self.stopped_by: str | None = None
        self.given_up = False
        self.activity = Activity()
        self.clock = RunClock()
        self.side_effects: Collection[str] = ()
        self.spawn: Spawn | None = None
        self.run_tasks: RunTasks | None = None
        self.expire: Callable[[], None] = lambda: None
        self.suspend: Callable[[], None] = lambda: None
        self._when_planned: list[Callable[[], None]] = []
        self._results: dict[str, TaskResult] = {}
        self._waits = 0
        self._attempts = 0
        self._finished: dict[str, anyio.Event] = {}
        self._arrival = anyio.Event()
        self._messages: dict[str, list[str]] = {}

    @property
    def results(self) -> Mapping[str, TaskResult]:
        """The results so far, by task id, in order of arrival."""
        return MappingProxyType(self._results)

    @property
    def open_tasks(self) -> int:
        """How many tasks are not done, as far as that is known."""
        return max(len(self.planned), self.expected or 0) - len(self._results)

    @property
    def planned_tasks(self) -> int:
        """How many tasks are planned and not done."""
        return len(self.planned) - len(self._results)

    def is_attempt(self, task: str) -> bool:
        """Return whether a task is one of several attempts at the question, and nothing else was planned."""
        return self._attempts == len(self.planned) and task in self.places

    @property
    def planning(self) -> bool:
        """Whether the planner may hand out more tasks before it waits."""
        return not (self.plan_done or self._waits or self.planner.paused)

    @property
    def handing_out(self) -> bool:
        """Whether the planner hands out one of its first tasks, or pauses, as soon as others have had their turn."""
        return self.planning and self.planner.handing_out

    @property
    def tasks_to_come(self) -> int:
        """How many tasks are not done at most, those included that the planner may hand out before it waits."""
        if not self.planning:
            return self.open_tasks
        most = self.most_tasks
        if most is None:
            # As many again as there are: so the later ones find something, however many they are.
            most = max(MANY_TASKS, 2 * len(self.planned))
        return max(self.open_tasks, most - len(self._results))

    # For the engine

    def add(self, task: Task) -> None:
        """Add a planned task."""
        self.places[task.id] = len(self.planned)
        self.planned.append(task)
        self._attempts += task.kind == "candidate"

    def record(self, result: TaskResult) -> None:
        """Store a result, wake those who wait for it, and pass it on unless it is held."""
        self._results[result.id] = result
        waiter = self._finished.pop(result.id, None)
        if waiter is not None:
            waiter.set()
        self._arrival.set()
        if not result.task.held:
            self.outbox.put(result)

    def finish_planning(self) -> None:
        """Record that the planner has finished, and call those who asked for it."""
        self.plan_done = True
        self.planner.pause()
        for call in self._when_planned:
            call()

    def release_if_nothing_else(self) -> bool:
        """Release the held results if no other task was answered; return whether that was so."""
        answered = [result for result in self._results.values() if result.answered]
        if not answered or not all(result.task.held for result in answered):
            return False
        self.release(*(task.id for task in self.planned if task.held and task.id in self._results))
        return True

    def declare_side_effects(self, tools: Collection[str], within: Activity) -> None:
        """Keep the names of the tools with side effects.

        Raises:
            SideEffectsError: the run answers what others answer in parallel.
        """
        self.side_effects = tools
        if tools and within.repeated:
            raise _refused(tools, "the run around this one has several subagents answer the same question")

    def check_side_effects(self, task: Task) -> None:
        """Check that no tool with side effects is called for each of several attempts.

        Raises:
            SideEffectsError: `task` is one of several attempts, or will be answered by several subagents.
        """
        named = [each for each in self.side_effects if task.tools is None or each in task.tools]
        if named and is_repeated(task, self.most_tasks):
            raise _refused(named, f"task {task.label!r} is one of several attempts at the same question")

    def check_samples(self, samples: int) -> None:
        """Check that no tool with side effects is called by each of several samples, of which a plan may ask so many.

        Raises:
            SideEffectsError: one would be.
        """
        if self.side_effects and samples > 1:
            raise _refused(self.side_effects, f"the planner may have {samples} subagents answer the same task")

    # For planners, agents and aggregators

    async def finished(self, task_id: str) -> TaskResult:
        """Wait for the result of a planned task, and return it.

        Raises:
            PlanError: no task with this id has been planned, so that its result might never come.
        """
        if task_id not in self._results:
            self._check_planned(task_id)
            with self._waiting(lambda: task_id not in self._results):
                await self.done(task_id)
        return self._results[task_id]

    async def first_finished(self, task_ids: Collection[str]) -> TaskResult:
        """Wait until there is a result of any of these planned tasks, and return the one that arrived first.

        Raises:
            PlanError: one of them has not been planned, or there are none, so that there might never be a result.
        """
        if not task_ids:
            raise PlanError("there are no tasks to wait for", hint="name the tasks that were yielded")
        for task_id in task_ids:
            self._check_planned(task_id)
        wanted = frozenset(task_ids)
        while True:
            for task_id, result in self._results.items():
                if task_id in wanted:
                    return result
            if self._arrival.is_set():
                self._arrival = anyio.Event()
            with self._waiting(lambda: self._results.keys().isdisjoint(wanted)):
                await self._arrival.wait()

    def _check_planned(self, task_id: str) -> None:
        if task_id not in self.places:
            raise PlanError(f"no task {task_id!r} was planned", hint="yield it before you wait for its result")

    async def done(self, task_id: str) -> None:
        """Wait until there is a result of a planned task, as one who is not the planner."""
        if task_id not in self._results:
            with waits_while(lambda: task_id not in self._results):
                await self._finished.setdefault(task_id, anyio.Event()).wait()

    async def undecided(self) -> None:
        """Wait until the aggregator has read every result so far and waits for more."""
        with self._waiting(lambda: not self.outbox.is_read_out):
            await self.outbox.read_out()

    @contextmanager
    def _waiting(self, waits: Callable[[], bool]) -> Iterator[None]:
        self._waits += 1
        self.planner.pause()
        try:
            with waits_while(waits):
                yield
        finally:
            self._waits -= 1

    def when_planned(self, call: Callable[[], None]) -> None:
        """Call `call` when the planner finishes; never, if it has finished already."""
        self._when_planned.append(call)

    def release(self, *task_ids: str) -> None:
        """Pass the results of `held` tasks on to the aggregator.

        Raises:
            PlanError: one of the tasks has no result yet.
        """
        for task_id in task_ids:
            if task_id not in self._results:
                raise PlanError(f"task {task_id!r} has no result to release", hint="wait for it: `ctx.finished(id)`")
            result = self._results[task_id]
            if result.task.held:
                # The plan records what was passed on, so that the run can be aggregated again.
                task = self.planned[result.index] = result.task.model_copy(update={"held": False})
                result = self._results[task_id] = result.model_copy(update={"task": task})
                self.outbox.put(result)

    def interrupt(self, task_id: str) -> bool:
        """Cancel a task, and return whether it was running."""
        scope = self.running.get(task_id)
        if scope is not None:
            scope.cancel()
        return scope is not None

    def tell(self, task_id: str, text: str) -> bool:
        """Queue a message for the subagent of a task, and return whether the task is running."""
        if task_id not in self.running:
            return False
        self._messages.setdefault(task_id, []).append(text)
        return True

    def unheard(self, task_id: str) -> Sequence[str]:
        """Return the queued messages for the subagent of a task."""
        return tuple(self._messages.get(task_id, ()))

    def messages_for(self, task_id: str) -> Sequence[str]:
        """Remove and return the queued messages for the subagent of a task."""
        return self._messages.pop(task_id, ())

    def inputs(self, task: Task) -> Sequence[TaskResult]:
        """Return the results of the tasks that `task` needs, in the order of `task.needs`."""
        return [self._results[need] for need in task.needs]


def is_repeated(task: Task, most_tasks: int | None) -> bool:
    """Return whether several subagents may do what `task` asks for, where at most so many tasks are planned."""
    return task.samples > 1 or (task.kind == "candidate" and most_tasks != 1)


def _refused(tools: Collection[str], why: str) -> SideEffectsError:
    names = ", ".join(tools)
    return SideEffectsError(
        f"{names}: a tool with side effects would be called several times, as {why}",
        hint="answer with one subagent, leave the tool out of these tasks (Task.tools), "
        "or say that calling it twice does no harm: @tool(side_effects=False)",
    )
