"""The engine: tasks in, results out. It knows nothing of models, votes or prompts.

Two nested cancel scopes carry a run. The inner one holds the work, planner and tasks, and ends when the time that is
left belongs to the aggregator; the outer one holds the aggregator as well, and ends at the deadline.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, cast

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from .agent import AgentFunction, Answer, TaskContext
from .aggregators import Aggregator
from .context import RunContext
from .errors import AggregationError, ContemplateError, LimitExceeded, PlanError
from .events import LimitReached, PlanReady, TaskFinished, TaskPlanned, TaskStarted
from .graph import TaskGraph
from .mailbox import Mailbox
from .plan import Plan, Task
from .planners import Planner
from .result import Conclusion, ErrorInfo, Outcome, TaskResult
from .usage import Limits

KEPT_SHARE_OF_TIME = 0.25
MAX_KEPT_SECONDS = 60.0


def needs_a_share(aggregator: Aggregator) -> bool:
    """Whether a share of the limits is kept for `aggregator`: it makes model calls, or does not say."""
    return bool(getattr(aggregator, "model_calls", 1))


async def execute(
    ctx: RunContext,
    *,
    planner: Planner,
    agent: AgentFunction,
    aggregator: Aggregator,
    limits: Limits,
    streaming: bool,
) -> Conclusion:
    """Run `planner`'s tasks through `agent`, and return what `aggregator` concludes.

    When this returns or raises, nothing of the run is running. Every task that was started has its result in
    `ctx.results`, also when the run is cancelled from outside.

    Raises:
        ContemplateError: the planner or the aggregator failed, or the time was up with nothing to conclude from.
    """
    run = _Run(ctx, planner, agent, limits, streaming)
    failure: Exception | None = None
    conclusion: Conclusion | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(run.work, _end_of_work(ctx, aggregator, limits))
        with anyio.CancelScope(deadline=ctx.deadline) as whole:
            run.fail = whole.cancel
            try:
                conclusion = _as_conclusion(await aggregator(ctx.question, run.results, ctx))
            except ContemplateError as error:
                failure = error
            except Exception as error:
                failure = AggregationError(f"the aggregator raised {type(error).__name__}: {error}")
                failure.__cause__ = error
        group.cancel_scope.cancel()
    if run.failure is not None:
        raise run.failure
    if failure is not None:
        raise failure
    if conclusion is None:
        run.stop("seconds")
        conclusion = _best_so_far(ctx, limits)
    if run.stopped_by is not None:
        conclusion = conclusion.model_copy(update={"complete": False})
    ctx.stopped_by = run.stopped_by
    return conclusion


def _end_of_work(ctx: RunContext, aggregator: Aggregator, limits: Limits) -> float:
    if limits.seconds is None or not needs_a_share(aggregator):
        return ctx.deadline
    return ctx.deadline - min(limits.seconds * KEPT_SHARE_OF_TIME, MAX_KEPT_SECONDS)


def _as_conclusion(returned: Conclusion | str) -> Conclusion:
    return Conclusion(text=returned) if isinstance(returned, str) else returned


def _best_so_far(ctx: RunContext, limits: Limits) -> Conclusion:
    if ctx.best is not None:
        try:
            return ctx.best().model_copy(update={"complete": False})
        except AggregationError:
            pass
    raise LimitExceeded(
        f"Limits.seconds = {limits.seconds:g} was over before there was any answer",
        limit="seconds",
        hint="raise the limit",
    )


def _start(group: TaskGroup, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    group.start_soon(function)


class _Run:
    def __init__(
        self, ctx: RunContext, planner: Planner, agent: AgentFunction, limits: Limits, streaming: bool
    ) -> None:
        self.results: Mailbox[TaskResult] = Mailbox()
        self.failure: ContemplateError | None = None
        self.stopped_by: str | None = None
        self.fail: Callable[[], None] = lambda: None
        self._ctx = ctx
        self._planner = planner
        self._agent = agent
        self._limits = limits
        self._streaming = streaming
        self._graph = TaskGraph()
        self._index: dict[str, int] = {}
        self._began = anyio.current_time()

    async def work(self, end: float) -> None:
        """Plan, and run what was planned, until all is done or the time for it is over."""
        with anyio.CancelScope(deadline=end) as scope:
            async with anyio.create_task_group() as group:
                self._ctx.spawn = lambda function: _start(group, function)
                await self._plan(group)
        if scope.cancelled_caught and self.failure is None:
            self.stop("seconds")
        self.results.close()

    def stop(self, limit: str) -> None:
        """A limit has cut the work."""
        if self.stopped_by is None:
            self.stopped_by = limit
            if self._ctx.listening:
                self._ctx.emit(LimitReached(limit=limit))

    async def _plan(self, group: TaskGroup) -> None:
        try:
            # Planners are written as async generators; the protocol asks for no more than an iterator.
            generator = cast("AsyncGenerator[Task, None]", self._planner(self._ctx.question, self._ctx))
            async with aclosing(generator) as tasks:
                async for task in tasks:
                    if self._limits.tasks is not None and len(self._ctx.planned) >= self._limits.tasks:
                        self.stop("tasks")
                        break
                    self._add(task, group)
                    # A planner that never waits would keep everyone else waiting.
                    await anyio.lowlevel.checkpoint()
        except ContemplateError as error:
            self._give_up(error)
        except Exception as error:
            failure = PlanError(f"the planner raised {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._give_up(failure)
        self._ctx.plan_done = True
        if self._ctx.listening:
            self._ctx.emit(PlanReady(plan=Plan.model_construct(tasks=tuple(self._ctx.planned))))

    def _give_up(self, failure: ContemplateError) -> None:
        self.failure = failure
        self.fail()

    def _add(self, task: Task, group: TaskGroup) -> None:
        ready = self._graph.add(task)
        self._index[task.id] = len(self._ctx.planned)
        self._ctx.planned.append(task)
        if self._ctx.listening:
            self._ctx.emit(TaskPlanned(task=task))
        if ready:
            group.start_soon(self._run_task, task, group)

    async def _run_task(self, task: Task, group: TaskGroup) -> None:
        ctx = TaskContext(self._ctx, task, streaming=self._streaming)
        model = self._ctx.model_name(task)
        if self._ctx.listening:
            self._ctx.emit(TaskStarted(task_id=task.id, model=model))
        started = anyio.current_time()
        outcome: Outcome = "cancelled"
        answer: Answer | None = None
        error: Exception | None = None
        try:
            answer = await self._agent(task, ctx)
            outcome = answer.outcome
        except LimitExceeded as raised:
            outcome, error = "capped", raised
        except Exception as raised:
            outcome, error = "failed", raised
        finally:
            # Also when the task is cancelled: what it had written is kept, and was paid for.
            said = answer or Answer(ctx.text)
            self._finish(
                TaskResult.model_construct(
                    task=task,
                    outcome=outcome,
                    text=said.text,
                    output=said.output,
                    images=said.images,
                    error=None if error is None else ErrorInfo.of(error),
                    usage=ctx.usage,
                    model=model,
                    index=self._index[task.id],
                    started=started - self._began,
                    seconds=anyio.current_time() - started,
                    messages=ctx.messages,
                )
            )
        for ready in self._graph.finish(task.id):
            group.start_soon(self._run_task, ready, group)

    def _finish(self, result: TaskResult) -> None:
        self._ctx.record(result)
        self.results.put(result)
        if self._ctx.listening:
            self._ctx.emit(TaskFinished(result=result))
