"""One run: from a question to a result, or to an error that carries the results so far."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio.lowlevel
from pydantic import JsonValue

from ..budget import Budget
from ..decisions import Approve
from ..errors import ContemplateError, OutputError, error_info
from ..events import (
    EVERYONE,
    CallWaiting,
    Event,
    OutputDelta,
    RunFailed,
    RunFinished,
    RunStarted,
    RunSuspended,
    Speaker,
)
from ..limits import Limits
from ..messages import ImagePart, Message
from ..models import Model, price_of
from ..plan import Plan
from ..prompts import DEFAULTS, Prompts
from ..result import Conclusion, RunResult
from ..settings import ModelSettings
from .approvals import Approvals
from .budget import Ledger
from .budget_draws import Draw, drawing
from .calls import Calls
from .context import RunContext
from .current_run import OngoingRun, RunScope, current_scope
from .engine import execute
from .history import answer_of, with_history
from .listeners import Listener, Listeners
from .log import log_event, wanted
from .nesting import limits_within
from .output_type import OutputType
from .protocols import AgentFunction, Aggregator, Planner, most_tasks, needs_a_share, subagent_settings
from .resources import Resources, resources
from .single_call import unknown_price
from .state import RunState

if TYPE_CHECKING:
    from ..journal.recording import Recording
    from ..journal.shared_answers import SharedAnswers


# What a run has at least that had used up its time before it was suspended: enough to conclude.
LEAST_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a contemplator. With `stream` None, calls are streamed if somebody listens or time is limited.

    `instructions` are those of planner and aggregator; an agent has its own.
    """

    model: Model
    planner: Planner
    agent: AgentFunction
    aggregator: Aggregator
    output: OutputType[Any] | None = None
    stream: bool | None = None
    images_to: Collection[Speaker] = EVERYONE
    settings: ModelSettings | None = None
    seed: int | None = None
    prompts: Prompts = DEFAULTS
    instructions: Mapping[Speaker, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """A question, the limits for it, and who listens.

    Without a `run_id` the run gets a new one; a run within another, its path there. `parent_run_id` is the run whose
    results this one aggregates again. `budgets` are shared with other runs. `approve` decides tool calls.
    `seconds_before` are those that the run had worked before it was suspended. `on_output` receives the pieces of the
    answer, for a run within another. Tools get `deps`, which is shown nowhere. With a journal, the run has its
    `answers` in common with others.
    """

    question: str
    run_id: str | None = None
    images: tuple[ImagePart, ...] = ()
    history: tuple[Message, ...] = ()
    answer_settings: ModelSettings | None = None
    limits: Limits = field(default_factory=Limits)
    budgets: tuple[Budget, ...] = ()
    listeners: Sequence[Listener] = ()
    labels: Mapping[str, JsonValue] = field(default_factory=dict)
    parent_run_id: str | None = None
    approve: Approve | None = None
    seconds_before: float = 0.0
    on_output: Callable[[OutputDelta], None] | None = None
    deps: object = field(default=None, repr=False)
    answers: SharedAnswers | None = field(default=None, repr=False)

    def without_clock(self) -> Job:
        """Return the job without limits on time and USD, and without budgets: a replayed run ends as recorded."""
        return replace(self, limits=self.limits.model_copy(update={"seconds": None, "cost_usd": None}), budgets=())


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a run, and the limit that cut its work short, or None."""

    result: RunResult[Any]
    cut_by: str | None


def new_run_id() -> str:
    """Return a new, random run id: 12 hexadecimal digits."""
    return uuid4().hex[:12]


async def carry_out(parts: Parts, job: Job, recording: Recording | None = None) -> Ended:
    """Run `job`, within the run in which this code is, if any. When this returns, nothing of it is running.

    Raises:
        ContemplateError: there is no answer; the results so far are in its `partial`.
    """
    # Whoever is being cancelled is so before anything is opened or asked.
    await anyio.lowlevel.checkpoint_if_cancelled()
    async with _open_calls(parts, job, recording) as calls:
        try:
            return await _Run(parts, job, calls, recording).carry_out()
        finally:
            calls.over = True
            calls.activity.end()


@asynccontextmanager
async def _open_calls(parts: Parts, job: Job, recording: Recording | None) -> AsyncIterator[Calls]:
    """Open the door of the run, within that of the run in which this code is, if any."""
    scope = current_scope()
    share = needs_a_share(parts.aggregator)
    _check_price(parts, job, None if scope is None else scope.run)
    if scope is None:
        own = (*job.listeners, *([log_event] if wanted() else ()))
        async with drawing(job.budgets, refuse=_is_new(recording)) as draws, resources(recording) as opened:
            _keep_leases(draws, opened)
            ledger = Ledger(job.limits, keep_for_aggregator=share, draws=draws)
            run_id, listeners = job.run_id or new_run_id(), Listeners(own)
            began = perf_counter() - job.seconds_before
            yield Calls(run_id, ledger, listeners, opened, deps=job.deps, approve=job.approve, began=began)
        return
    outer = scope.run
    assert isinstance(outer, Calls)  # noqa: S101
    if recording is not None:
        recording.around = outer.resources.recording
    if scope.blocked is not None:
        async with _open_calls_elsewhere(scope, scope.blocked.later, outer, parts, job, recording) as calls:
            yield calls
        return
    async with _drawing_within(outer, job, recording) as draws, AsyncExitStack() as stack:
        # A run with its own journal needs its own resources.
        opened = outer.resources if recording is None else await stack.enter_async_context(resources(recording))
        _keep_leases(draws, opened)
        yield outer.child(
            scope,
            limits_within(job.limits, scope),
            keep_for_aggregator=share,
            listeners=lambda outer: Listeners(job.listeners, outer, job.on_output),
            resources=opened,
            own_journal=recording is not None,
            deps=job.deps,
            draws=draws,
            approve=job.approve,
        )


@asynccontextmanager
async def _open_calls_elsewhere(
    scope: RunScope,
    later: list[Callable[[], object]],
    outer: Calls,
    parts: Parts,
    job: Job,
    recording: Recording | None,
) -> AsyncIterator[Calls]:
    """Open the door of a run in its own event loop, while the outer run's is blocked, waiting for it.

    It may spend what the outer run has left. Its events and its usage reach the outer run when that loop continues; its
    calls are recorded at once.
    """

    def tell(event: Event) -> None:
        if not isinstance(event, OutputDelta):
            later.append(partial(outer.listeners.emit, event))

    listeners = (*job.listeners, *((tell,) if outer.listeners.listening else ()))
    lent = outer.recording_elsewhere(scope) if recording is None else nullcontext(recording)
    with lent as recorded:
        async with _drawing_within(outer, job, recording) as draws, resources(recorded) as opened:
            _keep_leases(draws, opened)
            calls = outer.child(
                scope,
                outer.ledger.left(limits_within(job.limits, scope)),
                keep_for_aggregator=needs_a_share(parts.aggregator),
                listeners=lambda _: Listeners(listeners),
                resources=opened,
                own_journal=recording is not None,
                lent=True,
                deps=job.deps,
                draws=draws,
                approve=job.approve,
            )
            try:
                yield calls
            finally:
                later.append(partial(outer.ledger.book, calls.ledger.spent))
                later.append(partial(outer.book_on, scope.task, calls.ledger.spent))


def _drawing_within(outer: Calls, job: Job, recording: Recording | None) -> AbstractAsyncContextManager[Sequence[Draw]]:
    """Draw from the budgets of a run within `outer`: of those that are drawn from there, its calls are booked there."""
    theirs = {each.budget.key for each in outer.ledger.all_draws}
    own = [each for each in job.budgets if each.key not in theirs]
    return drawing(own, refuse=_is_new(recording or outer.resources.recording))


def _is_new(recording: Recording | None) -> bool:
    # What is recorded is paid for, and may be all that there is to it.
    return recording is None or not recording.begun


def _keep_leases(draws: Sequence[Draw], opened: Resources) -> None:
    for draw in draws:
        if draw.leased:
            opened.group.start_soon(draw.renew)


def _check_price(parts: Parts, job: Job, outer: OngoingRun | None) -> None:
    budget = next((each for each in job.budgets if each.cost_usd is not None), None)
    limited = job.limits.cost_usd is not None or (isinstance(outer, Calls) and outer.ledger.limits_cost)
    if (limited or budget is not None) and price_of(parts.model) is None:
        raise unknown_price(parts.model, None if limited else budget)


class _Run:
    def __init__(self, parts: Parts, job: Job, calls: Calls, recording: Recording | None) -> None:
        limits = calls.ledger.limits
        self._parts = parts
        self._calls = calls
        self._recording = recording
        self._limits = limits
        self._state = RunState()
        self._clock = self._state.clock
        self._began = self._clock.start(job.seconds_before)
        self._state.activity = calls.activity
        bounds = (most_tasks(parts.planner), limits.tasks)
        self._state.most_tasks = min((each for each in bounds if each is not None), default=None)
        self._state.planner.divide_again = self._divide_again
        self._state.stillness = calls.stillness
        calls.stillness.planning = lambda: self._state.planning
        calls.planning = self._state.planner
        calls.prompts = parts.prompts
        calls.seed = calls.seed if parts.seed is None else parts.seed
        calls.ledger.shares.anything_planned = lambda: bool(self._state.planned)
        calls.ledger.shares.open_tasks = lambda: self._state.open_tasks
        calls.ledger.shares.tasks_to_come = lambda: self._state.tasks_to_come
        calls.ledger.shares.handing_out = lambda: self._state.handing_out
        calls.ledger.shares.planned_tasks = lambda: self._state.planned_tasks
        calls.ledger.shares.is_attempt = self._state.is_attempt
        inner_id = f"{calls.run_id}/{calls.path}" if calls.path else calls.run_id
        streams = calls.listeners.listening or limits.seconds is not None
        self._ctx = RunContext(
            run_id=job.run_id or inner_id,
            parent_run_id=job.parent_run_id,
            question=job.question,
            images=job.images,
            history=job.history,
            answer_settings=job.answer_settings,
            images_to=parts.images_to,
            output=parts.output,
            deadline=self._deadline(limits.seconds, job.seconds_before),
            streaming=streams if parts.stream is None else parts.stream,
            seed=calls.seed,
            settings=parts.settings,
            subagent_settings=subagent_settings(parts.aggregator),
            prompts=parts.prompts,
            instructions=parts.instructions,
            _model=parts.model,
            _calls=calls,
            _state=self._state,
        )

        calls.tools.approvals = Approvals(
            calls.decisions, calls.approve, self._ctx.note, lambda call: calls.emit(CallWaiting(call=call))
        )
        self._clock.on_moved = self._postpone
        if calls.activity.outer is None and not calls.lent:
            waiting = calls.activity.waiting
            waiting.suspend, waiting.group = lambda: self._state.suspend(), calls.group

    def _deadline(self, seconds: float | None, before: float) -> float:
        return math.inf if seconds is None else self._began + max(seconds - before, LEAST_SECONDS)

    def _postpone(self, seconds: float) -> None:
        # Only the clock moves what is otherwise read-only.
        object.__setattr__(self._ctx, "deadline", self._ctx.deadline + seconds)
        if self._recording is not None:
            self._recording.postpone(self._ctx.deadline)

    def _divide_again(self) -> None:
        self._calls.ledger.divide_again()
        self._calls.stillness.check()

    async def carry_out(self) -> Ended:
        ctx, calls, recording = self._ctx, self._calls, self._recording
        if recording is not None:
            recording.attach(
                complain=ctx.note,
                time_is_up=lambda: self._state.expire(),
                so_far=lambda: self._result_so_far(failed=True),
                deadline=ctx.deadline,
            )
            calls.ledger.book(recording.spent_before(price_of(self._parts.model)))
        if ctx.listening:
            calls.emit(RunStarted(question=ctx.question, model=self._parts.model.name))
        try:
            try:
                with calls.activity.waiting.clocked(calls.activity, self._clock):
                    conclusion = await self._execute()
            finally:
                if recording is not None:
                    calls.ledger.book(recording.unclaimed())
            if conclusion is None:
                return Ended(self._suspended(), None)
            result = self._result_so_far().model_copy(update=_answer_fields(self._parts.output, conclusion))
            result = with_history(result, ctx.history, ctx.images, answer_of(result))
        except ContemplateError as error:
            error.partial = self._result_so_far(failed=True)
            self._emit_failure(error)
            raise
        except BaseException as error:
            self._emit_failure(error)
            raise
        if ctx.listening:
            calls.emit(
                RunFinished(
                    text=result.text,
                    usage=result.usage,
                    seconds=result.seconds,
                    complete=result.complete,
                    stopped_by=result.stopped_by,
                    support=result.support,
                    dissent=result.dissent,
                    answer=result.answer,
                    votes=result.votes,
                    points=result.points,
                    citations=result.citations,
                )
            )
        return Ended(result, self._state.stopped_by)

    def _suspended(self) -> RunResult[Any]:
        pending = tuple(sorted(self._calls.activity.waiting.pending.values(), key=lambda each: each.id))
        if self._calls.decisions is None:
            # Its own agent does not say that its tools may wait: those of a run within one of them do.
            self._ctx.note(
                'the run cannot be resumed without a journal: Contemplator(..., journal="sqlite:///runs.db")'
            )
        result = self._result_so_far(failed=True).model_copy(update={"pending": pending})
        if self._ctx.listening:
            self._calls.emit(RunSuspended(pending=pending, usage=result.usage, seconds=result.seconds))
        return result

    async def _execute(self) -> Conclusion | None:
        return await execute(
            self._ctx,
            self._state,
            planner=self._parts.planner,
            agent=self._parts.agent,
            aggregator=self._parts.aggregator,
            limits=self._limits,
            at=lambda role, task, activity: RunScope(self._calls, role, task, task or role, activity),
            conclude=self._calls.conclude,
        )

    def _result_so_far(self, *, failed: bool = False) -> RunResult[Any]:
        """Return the result so far, without an output."""
        state, ledger = self._state, self._calls.ledger
        tasks = sorted(state.results.values(), key=lambda result: result.index)
        lost = {result.id for result in tasks if result.outcome == "failed" or result.outcome == "capped"}
        if failed or state.stopped_by is not None:
            lost |= {task.id for task in state.planned if task.id not in state.results}
            lost |= {result.id for result in tasks if result.outcome in ("cancelled", "suspended")}
        # The bare class, as a parametrized one cannot be pickled.
        return RunResult.model_construct(
            run_id=self._ctx.run_id,
            question=self._ctx.question,
            output=None,
            text="",
            plan=Plan.model_construct(tasks=tuple(state.planned)),
            tasks=tuple(tasks),
            usage=ledger.spent,
            seconds=self._clock.seconds,
            complete=False,
            missing=tuple(task.id for task in state.planned if task.id in lost),
            stopped_by=state.stopped_by or ledger.tripped,
            notes=tuple(state.notes),
            history=self._ctx.history,
        )

    def _emit_failure(self, error: BaseException) -> None:
        if self._ctx.listening:
            seconds = self._clock.seconds
            self._calls.emit(RunFailed(error=error_info(error), usage=self._calls.ledger.spent, seconds=seconds))


def _answer_fields(output_type: OutputType[Any] | None, conclusion: Conclusion) -> dict[str, Any]:
    output = conclusion.text if conclusion.output is None else conclusion.output
    if output_type is not None and conclusion.output is None:
        try:
            output = output_type.value_of(None, conclusion.text)
        except OutputError as error:
            raise OutputError(error.message, hint="the aggregator must return the output type") from None
    return {
        "output": output,
        "text": conclusion.text,
        "images": conclusion.images,
        "complete": conclusion.complete,
        "support": conclusion.support,
        "dissent": conclusion.dissent,
        "answer": conclusion.answer,
        "votes": conclusion.votes,
        "points": conclusion.points,
        "citations": conclusion.citations,
    }
