"""The engine: tasks in, results out. It knows nothing of models, votes or prompts.

A run has two nested cancel scopes. The inner one holds the work, that is planner and tasks, and ends when the
remaining time is reserved for the aggregator; the outer one also holds the aggregator, and ends at the deadline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import sniffio
from anyio.abc import TaskGroup

from ..errors import (
    AggregationError,
    ConfigurationError,
    ContemplateError,
    LimitExceeded,
    PlanError,
    QuorumNotReached,
    error_info,
    sole,
)
from ..event_loops import time_in
from ..events import LimitReached, PlanReady, Speaker, TaskFinished, TaskPlanned, TaskStarted
from ..limits import BUDGET, Limits, limit_in_words
from ..messages import images_made
from ..plan import Plan, Task
from ..result import Conclusion, Outcome, TaskResult
from ..tools.user_code import contained
from .activity import Activity
from .context import RunContext
from .current_run import RunScope
from .graph import TaskGraph
from .protocols import AgentFunction, Aggregator, Answer, Planner, needs_a_share, prepare
from .return_values import as_answer, as_conclusion, as_contemplate_error, as_task, closing_planner
from .state import RunState, is_repeated
from .task_context import TaskContext
from .watched_coroutine import followed

KEPT_SHARE_OF_TIME = 0.25
MAX_KEPT_SECONDS = 60.0
SECONDS_TO_CONCLUDE = 0.1
SHARE_TO_CONCLUDE = 0.1
# One turn of asyncio's event loop costs as much as starting some tasks. Trio starts those of one turn in any order.
TASKS_AT_A_TIME = {"asyncio": 8, "trio": 1}

At = Callable[[Speaker, str | None, Activity], RunScope]


async def execute(
    ctx: RunContext,
    state: RunState,
    *,
    planner: Planner,
    agent: AgentFunction,
    aggregator: Aggregator,
    limits: Limits,
    at: At,
    conclude: Callable[[], Awaitable[None]],
) -> Conclusion | None:
    """Run the planner's tasks through the agent, and return the aggregator's conclusion; None if the run is suspended.

    When this returns or raises, nothing of the run is running. Every task that was started has its result in
    `state`, also when the run is cancelled from outside.

    Args:
        ctx: the run, as the planner, the agent and the aggregator see it.
        state: the state of the run, written here.
        planner: yields the tasks.
        agent: answers each task.
        aggregator: draws the conclusion.
        limits: those on tasks and seconds are enforced here.
        at: makes the place in the run where a role's code runs, for a task.
        conclude: called when there is a conclusion and something is still under way, before that is cut off.

    Raises:
        ContemplateError: the planner or the aggregator failed, or time ran out with nothing to conclude from.
    """
    run = _Run(ctx, state, planner, agent, limits, at, _work_deadline(ctx, aggregator, limits))
    concluding = state.activity.begin()
    failure: ContemplateError | None = None
    conclusion: Conclusion | None = None
    try:
        async with anyio.create_task_group() as group:
            state.spawn = lambda function: _start(group, function)
            state.run_tasks = run.run_tasks
            group.start_soon(run.work)
            state.suspend = group.cancel_scope.cancel
            whole = anyio.CancelScope(deadline=_run_deadline(ctx, aggregator))
            with whole, state.clock.limits(whole):
                run.fail = whole.cancel
                try:
                    with at("aggregator", None, concluding).entered():
                        conclusion = as_conclusion(await aggregator(ctx.question, state.outbox, ctx))
                except Exception as error:
                    failure = as_contemplate_error(AggregationError, "the aggregator", error)
            await _record(conclusion, state, conclude)
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        raise sole(errors) from None
    finally:
        state.spawn = state.run_tasks = None
        concluding.end()
    if conclusion is None and run.failure is None and failure is None and state.activity.waiting.suspended:
        return None
    if conclusion is None:
        if run.failure is not None:
            raise run.failure
        try:
            conclusion = _fallback_conclusion(run, state, limits, failure)
        except AggregationError:
            starved = run.starved or _used_up(ctx)
            if starved is None:
                raise
            # That a limit left nothing says more than that there was no answer.
            raise starved from None
    elif run.failure is not None:
        # The planner failed when the answer was there already, or while it was being cancelled.
        ctx.note(f"the plan was not finished: {run.failure.message}")
    incomplete = state.stopped_by is not None or run.failure is not None or run.makeshift or state.given_up
    if incomplete or _left_something_out(ctx):
        conclusion = conclusion.model_copy(update={"complete": False})
    return conclusion


async def _record(conclusion: Conclusion | None, state: RunState, conclude: Callable[[], Awaitable[None]]) -> None:
    if conclusion is not None and (state.planned_tasks or state.planner.calling):
        await conclude()


def _left_something_out(ctx: RunContext) -> bool:
    no_room = ("failed", "capped") if ctx.tripped is not None else ()
    return any(not each.complete or each.outcome in no_room for each in ctx.results.values())


def _used_up(ctx: RunContext) -> LimitExceeded | None:
    """Return the error of a budget that left nothing for any task: who shares it may wait for its next window."""
    tripped, results = ctx.tripped, ctx.results.values()
    if tripped is None or not tripped.startswith(BUDGET) or any(each.answered for each in results):
        return None
    error = next((each.error for each in results if each.error and each.error.kind == LimitExceeded.__name__), None)
    return None if error is None else LimitExceeded(error.message, limit=tripped, hint=error.hint)


def _work_deadline(ctx: RunContext, aggregator: Aggregator, limits: Limits) -> float:
    if limits.seconds is None or not needs_a_share(aggregator):
        return ctx.deadline
    return ctx.deadline - min(limits.seconds * KEPT_SHARE_OF_TIME, MAX_KEPT_SECONDS)


def _run_deadline(ctx: RunContext, aggregator: Aggregator) -> float:
    # An aggregator without model calls has no reserved time: give it a moment for the results of the last tasks.
    return ctx.deadline if needs_a_share(aggregator) else ctx.deadline + SECONDS_TO_CONCLUDE


def _fallback_conclusion(run: _Run, state: RunState, limits: Limits, failure: ContemplateError | None) -> Conclusion:
    """Return what the aggregator offered (`RunContext.offer`) if a limit cut it off, else raise the failure."""
    if failure is None:
        run.stop("seconds")
    elif isinstance(failure, LimitExceeded):
        run.stop(failure.limit)
    elif isinstance(failure, ConfigurationError | QuorumNotReached):
        # Whoever asked for it has to know.
        raise failure
    if state.best is not None:
        try:
            offered = as_conclusion(state.best())
        except AggregationError:
            pass
        except Exception as error:
            raise as_contemplate_error(AggregationError, "what the aggregator offered", error) from error
        else:
            if failure is not None:
                run.note(f"the aggregator failed, and what it had offered is taken: {failure.message}")
            return offered.model_copy(update={"complete": False})
    all_cancelled = all(result.outcome == "cancelled" for result in state.results.values())
    if failure is not None and not (state.stopped_by == "seconds" and all_cancelled):
        raise failure
    raise LimitExceeded(
        f"Limits.seconds = {limits.seconds or 0:g} passed before there was any answer",
        limit="seconds",
        hint="raise Limits.seconds",
    )


def _start(group: TaskGroup, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    group.start_soon(function)


class _Run:
    def __init__(
        self,
        ctx: RunContext,
        state: RunState,
        planner: Planner,
        agent: AgentFunction,
        limits: Limits,
        at: At,
        end: float,
    ) -> None:
        self.failure: ContemplateError | None = None
        # The limit that left nothing for a plan.
        self.starved: LimitExceeded | None = None
        self.makeshift = False
        self.fail: Callable[[], None] = lambda: None
        self._ctx = ctx
        self._state = state
        self._at = at
        self._planner = planner
        self._agent = agent
        self._limits = limits
        self._graph = TaskGraph()
        self._activity = state.activity.begin()
        self._activities: dict[str, Activity] = {}
        self._time = time_in(anyio.lowlevel.current_token())
        self._began = self._time()
        self._end = end
        # The scopes that end when the time for the work is over.
        self._in_time: list[anyio.CancelScope] = []
        state.expire = self._expire

    def _expire(self) -> None:
        if not self._in_time:
            self.fail()
        for scope in self._in_time:
            scope.cancel()

    @contextmanager
    def _until_the_end(self) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope(deadline=self._end) as scope, self._state.clock.limits(scope):
            self._in_time.append(scope)
            try:
                yield scope
            finally:
                self._in_time.remove(scope)

    async def work(self) -> None:
        """Plan, and run the tasks, until all are done or the time for it is over."""
        try:
            with self._until_the_end() as scope:
                async with anyio.create_task_group() as group:
                    await self._plan(group)
            if scope.cancelled_caught and self.failure is None:
                self.stop("seconds")
                if not self._state.planned:
                    await self._answer_directly("was not written in time")
            elif self.starved is not None:
                self.stop(self.starved.limit)
                await self._answer_directly(f"could not be written: {self.starved.message}")
            self.makeshift = self._state.release_if_nothing_else()
            if self.makeshift:
                self._ctx.note("nothing else was answered: the results that the planner held back are passed on")
        finally:
            self._state.outbox.close()
            self._activity.end()

    async def run_tasks(self, tasks: Iterable[Task]) -> tuple[TaskResult, ...]:
        """Run tasks beside the planner's, also after those, until they are done or the time for the work is over.

        Raises:
            PlanError: one of them cannot follow those that there are.
        """
        wanted = [as_task(task).model_copy(update={"held": True}) for task in tasks]
        new = [task for task in wanted if not self._is_planned(task)]
        self._graph.check(new)
        if new and (self._state.stopped_by == "seconds" or anyio.current_time() >= self._end):
            self.stop("seconds")
            new = []
        elif len(new) > (left := self._ctx.tasks_left):
            self.stop("tasks")
            new = new[: int(left)]
        ids = [task.id for task in wanted if task in new or self._ctx.is_planned(task.id)]
        with self._until_the_end() as scope:
            async with anyio.create_task_group() as group:
                for task in new:
                    self._add(task, group)
                for task_id in ids:
                    await self._state.done(task_id)
        if scope.cancelled_caught:
            self.stop("seconds")
        return tuple(self._state.results[task_id] for task_id in ids if task_id in self._state.results)

    def _is_planned(self, task: Task) -> bool:
        """Return whether this very task was planned: in a run whose results are aggregated again."""
        place = self._state.places.get(task.id)
        if place is None:
            return False
        known = self._state.planned[place]
        return (known.prompt, known.needs) == (task.prompt, task.needs)

    async def _answer_directly(self, why: str) -> None:
        """Spend what is left on the question itself: what was meant for the tasks went into the plan."""
        left = self._ctx.deadline - anyio.current_time()
        task = Task(id="answer", prompt=self._ctx.question, kind="answer", title="Answer")
        with anyio.CancelScope(deadline=self._ctx.deadline - min(SECONDS_TO_CONCLUDE, left * SHARE_TO_CONCLUDE)):
            self.note(f"the plan {why}: the question is answered directly")
            async with anyio.create_task_group() as group:
                self._add(task, group)

    def note(self, message: str) -> None:
        """Note something that the result has to say."""
        self._ctx.note(message)

    def stop(self, limit: str) -> None:
        """Record that a limit has cut the work short."""
        if self._state.stopped_by is None:
            self._state.stopped_by = limit
            if self._ctx.listening:
                self._ctx.emit(LimitReached(limit=limit))

    async def _plan(self, group: TaskGroup) -> None:
        activity = self._activity.begin()
        try:
            await self._hand_out(group, activity)
        except Exception as error:
            if isinstance(error, LimitExceeded) and not self._state.planned:
                self.starved = error
                return
            self.failure = as_contemplate_error(PlanError, "the planner", error)
            self.fail()
        finally:
            # However it ended: whoever waits for the rest of the plan, waits no longer.
            self._state.planner.pause()
            activity.end()
        try:
            self._state.finish_planning()
        except Exception as error:
            self.failure = as_contemplate_error(AggregationError, "the aggregator", error)
            self.fail()
        if self._ctx.listening:
            self._ctx.emit(PlanReady(plan=Plan.model_construct(tasks=tuple(self._state.planned))))

    async def _hand_out(self, group: TaskGroup, activity: Activity) -> None:
        at_a_time = TASKS_AT_A_TIME[sniffio.current_async_library()]
        planning = self._state.planner
        # Before anything is paid for: without its tools the agent could not do the work.
        await prepare(self._agent, self._ctx)
        self._state.check_samples(getattr(self._planner, "samples", 1))
        self._at("planner", None, activity).enter()
        async with closing_planner(self._planner(self._ctx.question, self._ctx)) as tasks:
            try:
                async for task in planning.follow(tasks):
                    if self._ctx.tasks_left <= 0:
                        self.stop("tasks")
                        break
                    self._add(task, group)
                    if len(self._state.planned) % at_a_time == 0:
                        # A planner that never awaits would block everything else.
                        with planning.giving_way():
                            await anyio.lowlevel.checkpoint()
            finally:
                # While it is closed, it may wait for what a task does.
                planning.pause()

    def _add(self, task: Task, group: TaskGroup) -> None:
        task = as_task(task)
        self._state.check_side_effects(task)
        ready = self._graph.add(task)
        self._state.add(task)
        if self._ctx.listening:
            self._ctx.emit(TaskPlanned(task=task))
        if ready:
            self._dispatch(task, group)

    def _dispatch(self, task: Task, group: TaskGroup) -> None:
        # The scope exists before the task runs, so that the task can be interrupted from now on.
        self._state.running[task.id] = anyio.CancelScope()
        self._state.stillness.goes_on()
        self._activities[task.id] = self._activity.begin(repeated=is_repeated(task, self._state.most_tasks))
        group.start_soon(self._run_task, task, group, name=task.id)

    async def _run_task(self, task: Task, group: TaskGroup) -> None:
        try:
            with self._state.running[task.id]:
                try:
                    await self._answer(task)
                finally:
                    del self._state.running[task.id]
            for ready in self._graph.finish(task.id):
                self._dispatch(ready, group)
        finally:
            self._state.stillness.waits()
            self._activities.pop(task.id).end()

    async def _answer(self, task: Task) -> None:
        self._at("subagent", task.id, self._activities[task.id]).enter()
        ctx = TaskContext(self._ctx, task, self._state.inputs(task))
        model = self._ctx.model_name(task)
        if self._ctx.listening:
            self._ctx.emit(TaskStarted(task_id=task.id, model=model))
        started = self._time()
        outcome: Outcome = "cancelled"
        answer: Answer | None = None
        error: BaseException | None = None
        try:
            with contained():
                work = self._state.assigned.get(task.id, self._agent)(task, ctx)
                if self._state.stillness.matters:
                    work = followed(work, self._state.stillness)
                answer = as_answer(await work, ctx.output)
            outcome = answer.outcome
            if outcome == "capped" and ctx.capped_by is not None:
                error = LimitExceeded(
                    f"its answer was cut off: {limit_in_words(ctx.capped_by)} leaves no room for more",
                    limit=ctx.capped_by,
                    hint=f"raise {limit_in_words(ctx.capped_by)}",
                )
        except Exception as raised:
            error = sole(raised)
            outcome = "capped" if isinstance(error, LimitExceeded) else "failed"
        finally:
            if outcome == "cancelled" and self._state.activity.waiting.suspended:
                outcome = "suspended"
            # Also when the task is cancelled: what it has written was paid for, and is kept.
            if answer is None and outcome == "cancelled" and ctx.offered is not None:
                answer, outcome = ctx.offered, ctx.offered.outcome
            reached = answer or Answer(ctx.text, images=images_made(ctx.messages))
            self._finish(
                TaskResult(
                    task=task,
                    outcome=outcome,
                    text=reached.text,
                    output=reached.output,
                    images=reached.images,
                    error=None if error is None else error_info(error),
                    usage=ctx.usage,
                    model=self._ctx.answered_by(task.id) or model,
                    index=self._state.places[task.id],
                    started=started - self._began,
                    seconds=self._time() - started,
                    messages=ctx.messages,
                    support=reached.support,
                    dissent=reached.dissent,
                    complete=reached.complete,
                    logprobs=ctx.logprobs if reached.logprobs is None else reached.logprobs,
                    metadata=dict(reached.metadata),
                )
            )

    def _finish(self, result: TaskResult) -> None:
        if result.outcome == "cancelled" and any(scope.cancel_called for scope in self._in_time):
            # Before the aggregator sees it: a vote could count it as an abstention, and be decided.
            self.stop("seconds")
        self._state.record(result)
        if self._ctx.listening:
            self._ctx.emit(TaskFinished(result=result))
