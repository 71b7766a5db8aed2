"""One run: from a question to a result, or to an error that carries the results so far."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
from pydantic import JsonValue

from ..errors import ContemplateError, OutputError, error_info
from ..events import EVERYONE, Event, OutputDelta, RunFailed, RunFinished, RunStarted, Speaker
from ..limits import Limits
from ..messages import ImagePart, Message
from ..models import Model, price_of
from ..plan import Plan
from ..result import Conclusion, RunResult
from ..settings import ModelSettings
from .budget import Ledger
from .calls import Calls, unknown_price
from .context import RunContext
from .current_run import RunScope, current_scope
from .engine import execute
from .history import answer_of, with_history
from .listeners import Listener, Listeners
from .log import log_event, wanted
from .nesting import limits_within
from .output_type import OutputType
from .protocols import AgentFunction, Aggregator, Planner, most_tasks, needs_a_share
from .resources import resources
from .state import MANY_TASKS, RunState

if TYPE_CHECKING:
    from ..journal.recording import Recording


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a contemplator. With `stream` None, calls are streamed if somebody listens or time is limited."""

    model: Model
    planner: Planner
    agent: AgentFunction
    aggregator: Aggregator
    output: OutputType[Any] | None = None
    stream: bool | None = None
    images_to: Collection[Speaker] = EVERYONE
    settings: ModelSettings | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A question, the limits for it, and who listens.

    Without a `run_id` the run gets a new one; a run within another, its path there. `parent_run_id` is the run whose
    results this one aggregates again. `on_output` receives the pieces of the answer, for a run within another.
    """

    question: str
    run_id: str | None = None
    images: tuple[ImagePart, ...] = ()
    history: tuple[Message, ...] = ()
    answer_settings: ModelSettings | None = None
    limits: Limits = field(default_factory=Limits)
    listeners: Sequence[Listener] = ()
    labels: Mapping[str, JsonValue] = field(default_factory=dict)
    parent_run_id: str | None = None
    on_output: Callable[[OutputDelta], None] | None = None

    def without_clock(self) -> Job:
        """Return the job without limits on time and USD: a replayed run ends where the recorded one ended."""
        return replace(self, limits=self.limits.model_copy(update={"seconds": None, "cost_usd": None}))


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
    async with _open_calls(parts, job, recording) as calls:
        try:
            return await _Run(parts, job, calls, recording).carry_out()
        finally:
            calls.over = True


@asynccontextmanager
async def _open_calls(parts: Parts, job: Job, recording: Recording | None) -> AsyncIterator[Calls]:
    """Open the door of the run, within that of the run in which this code is, if any."""
    scope = current_scope()
    share = needs_a_share(parts.aggregator)
    if scope is None:
        _check_price(parts, job.limits.cost_usd is not None)
        own = (*job.listeners, *([log_event] if wanted() else ()))
        async with resources(recording) as opened:
            ledger = Ledger(job.limits, keep_for_aggregator=share)
            yield Calls(job.run_id or new_run_id(), ledger, Listeners(own), opened)
        return
    outer = scope.run
    assert isinstance(outer, Calls)  # noqa: S101
    _check_price(parts, job.limits.cost_usd is not None or outer.ledger.limits_cost)
    if scope.blocked is not None:
        async with _open_calls_elsewhere(scope, scope.blocked.later, outer, parts, job, recording) as calls:
            yield calls
        return
    async with AsyncExitStack() as stack:
        # A run with its own journal needs its own resources.
        opened = outer.resources if recording is None else await stack.enter_async_context(resources(recording))
        yield outer.child(
            scope,
            limits_within(job.limits, scope),
            keep_for_aggregator=share,
            listeners=lambda outer: Listeners(job.listeners, outer, job.on_output),
            resources=opened,
            own_journal=recording is not None,
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
        async with resources(recorded) as opened:
            calls = outer.child(
                scope,
                outer.ledger.left(limits_within(job.limits, scope)),
                keep_for_aggregator=needs_a_share(parts.aggregator),
                listeners=lambda _: Listeners(listeners),
                resources=opened,
                own_journal=recording is not None,
                lent=True,
            )
            try:
                yield calls
            finally:
                later.append(partial(outer.ledger.book, calls.ledger.spent))
                later.append(partial(outer.book_on, scope.task, calls.ledger.spent))


def _check_price(parts: Parts, limited: bool) -> None:
    if limited and price_of(parts.model) is None:
        raise unknown_price(parts.model)


class _Run:
    def __init__(self, parts: Parts, job: Job, calls: Calls, recording: Recording | None) -> None:
        limits = calls.ledger.limits
        self._parts = parts
        self._calls = calls
        self._recording = recording
        self._limits = limits
        self._began = anyio.current_time()
        self._state = RunState()
        bounds = (most_tasks(parts.planner), limits.tasks)
        self._state.most_tasks = min((each for each in bounds if each is not None), default=MANY_TASKS)
        self._state.planner.on_pause = self._divide_again
        self._state.stillness = calls.stillness
        calls.stillness.planning = lambda: self._state.planning
        calls.planning = self._state.planner
        calls.seed = calls.seed if parts.seed is None else parts.seed
        calls.ledger.shares.anything_planned = lambda: bool(self._state.planned)
        calls.ledger.shares.open_tasks = lambda: self._state.open_tasks
        calls.ledger.shares.tasks_to_come = lambda: self._state.tasks_to_come
        calls.ledger.shares.planned_tasks = lambda: self._state.planned_tasks
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
            deadline=math.inf if limits.seconds is None else self._began + limits.seconds,
            streaming=streams if parts.stream is None else parts.stream,
            seed=calls.seed,
            settings=parts.settings,
            _model=parts.model,
            _calls=calls,
            _state=self._state,
        )

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
                conclusion = await self._execute()
            finally:
                if recording is not None:
                    calls.ledger.book(recording.unclaimed())
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
                )
            )
        return Ended(result, self._state.stopped_by)

    async def _execute(self) -> Conclusion:
        return await execute(
            self._ctx,
            self._state,
            planner=self._parts.planner,
            agent=self._parts.agent,
            aggregator=self._parts.aggregator,
            limits=self._limits,
            at=lambda role, task: RunScope(self._calls, role, task, task or role),
        )

    def _result_so_far(self, *, failed: bool = False) -> RunResult[Any]:
        """Return the result so far, without an output."""
        state, ledger = self._state, self._calls.ledger
        tasks = sorted(state.results.values(), key=lambda result: result.index)
        lost = {result.id for result in tasks if result.outcome == "failed" or result.outcome == "capped"}
        if failed or state.stopped_by is not None:
            lost |= {task.id for task in state.planned if task.id not in state.results}
            lost |= {result.id for result in tasks if result.outcome == "cancelled"}
        # The bare class, as a parametrized one cannot be pickled.
        return RunResult.model_construct(
            run_id=self._ctx.run_id,
            question=self._ctx.question,
            output=None,
            text="",
            plan=Plan.model_construct(tasks=tuple(state.planned)),
            tasks=tuple(tasks),
            usage=ledger.spent,
            seconds=anyio.current_time() - self._began,
            complete=False,
            missing=tuple(task.id for task in state.planned if task.id in lost),
            stopped_by=state.stopped_by or ledger.tripped,
            notes=tuple(state.notes),
            history=self._ctx.history,
        )

    def _emit_failure(self, error: BaseException) -> None:
        if self._ctx.listening:
            seconds = anyio.current_time() - self._began
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
    }
