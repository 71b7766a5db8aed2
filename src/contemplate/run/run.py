"""One run: from a question to a result, or to an error that carries what was reached."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
import anyio.lowlevel
from pydantic import JsonValue

from ..errors import ConfigurationError, ContemplateError, OutputError, error_info
from ..events import EVERYONE, RunFailed, RunFinished, RunStarted, Speaker
from ..limits import Limits
from ..messages import ImagePart
from ..models import Model, price_of
from ..plan import Plan
from ..result import Conclusion, RunResult
from ..tools.toolset import toolsets
from .budget import Ledger
from .calls import Calls, unknown_price
from .context import RunContext
from .engine import execute
from .listeners import Events, Listener
from .log import log_event, wanted
from .output_type import OutputType
from .protocols import AgentFunction, Aggregator, Planner, needs_a_share

if TYPE_CHECKING:
    from ..journal.recording import Recording


MAX_DEPTH = 16
SHARE_OF_OUTER = 0.1
MAX_SECONDS_OF_OUTER = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a contemplator is put together from. `stream` None: where somebody listens or time is limited."""

    model: Model
    planner: Planner
    agent: AgentFunction
    aggregator: Aggregator
    output: OutputType[Any] | None = None
    stream: bool | None = None
    images_to: Collection[Speaker] = EVERYONE


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked, what may be spent on it, and who listens."""

    run_id: str
    question: str
    images: tuple[ImagePart, ...] = ()
    limits: Limits = field(default_factory=Limits)
    listeners: Sequence[Listener] = ()
    labels: Mapping[str, JsonValue] = field(default_factory=dict)

    def without_clock(self) -> Job:
        """The same, with all the time in the world: what is replayed ends when it ended."""
        return replace(self, limits=self.limits.model_copy(update={"seconds": None, "cost_usd": None}))


def new_run_id() -> str:
    """A name that no other run has."""
    return uuid4().hex[:12]


async def carry_out(parts: Parts, job: Job, recording: Recording | None = None) -> RunResult[Any]:
    """Run `job`. When this returns or raises, nothing of it is running.

    Raises:
        ContemplateError: there is no answer; what was finished until then is in its `partial`.
    """
    began = anyio.current_time()
    events = Events([*job.listeners, *([log_event] if wanted() else [])])
    outer = _outer_run()
    limits = job.limits if outer is None else limits_within(job.limits)
    ledger = Ledger(
        limits, keep_for_aggregator=needs_a_share(parts.aggregator), outer=None if outer is None else outer.ledger
    )
    if ledger.limits_cost and price_of(parts.model) is None:
        raise unknown_price(parts.model)
    depth = 0 if outer is None else deeper(outer.depth)
    async with AsyncExitStack() as stack:
        stack.enter_context(_inside(_Outer(ledger, depth, anyio.lowlevel.current_token())))
        opened = await stack.enter_async_context(toolsets())
        ctx = RunContext(
            run_id=job.run_id,
            question=job.question,
            images=job.images,
            images_to=parts.images_to,
            output=parts.output,
            model=parts.model,
            caller=Calls(job.run_id, ledger, events, stack, recording, opened),
            deadline=math.inf if limits.seconds is None else began + limits.seconds,
            depth=depth,
            streaming=_streams(parts, events, limits),
        )
        if recording is not None:
            recording.attach(complain=ctx.note, time_is_up=lambda: ctx.expire())
            ledger.book(recording.spent_in_vain())
        if events.listening:
            events.emit(RunStarted(run_id=job.run_id, question=job.question, model=parts.model.name))
        try:
            try:
                conclusion = await execute(
                    ctx,
                    planner=parts.planner,
                    agent=parts.agent,
                    aggregator=parts.aggregator,
                    limits=limits,
                )
            finally:
                if recording is not None:
                    ledger.book(recording.unclaimed())
            result = _collected(ctx, ledger, began).model_copy(update=_concluded(parts.output, conclusion))
        except ContemplateError as error:
            error.partial = _collected(ctx, ledger, began, failed=True)
            _tell_failure(ctx, error, ledger, began)
            raise
        except BaseException as error:
            _tell_failure(ctx, error, ledger, began)
            raise
        if events.listening:
            events.emit(
                RunFinished(
                    run_id=job.run_id,
                    text=result.text,
                    usage=result.usage,
                    seconds=result.seconds,
                    complete=result.complete,
                    stopped_by=result.stopped_by,
                )
            )
        return result


@dataclass(frozen=True, slots=True)
class _Outer:
    """A run within which others may go on, in its tools or agents: they spend what it has left."""

    ledger: Ledger
    depth: int
    loop: object


_current: ContextVar[_Outer | None] = ContextVar("contemplate_outer_run", default=None)


def _outer_run() -> _Outer | None:
    """The run within which this code goes on, in the same event loop: a ledger is not made for several threads."""
    outer = _current.get()
    return None if outer is None or outer.loop != anyio.lowlevel.current_token() else outer


@contextmanager
def _inside(outer: _Outer | None) -> Iterator[None]:
    token = _current.set(outer)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def one_deeper(depth: int) -> Iterator[None]:
    """What goes on in here is a run within one that is nested in `depth` others, and has the same budget.

    Raises:
        ConfigurationError: that is too deep.
    """
    outer, inner = _current.get(), deeper(depth)
    with _inside(None if outer is None else replace(outer, depth=inner)):
        yield


def deeper(depth: int) -> int:
    """In how many others a run is nested that is a tool's or a task's of one that is nested in `depth` others.

    Raises:
        ConfigurationError: that is too deep.
    """
    if depth >= MAX_DEPTH:
        raise ConfigurationError(
            f"runs are nested more than {MAX_DEPTH} deep",
            hint="does a tool or an agent call its own run? let the innermost contemplator have a plain Agent",
        )
    return depth + 1


def limits_within(limits: Limits) -> Limits:
    """`limits` for a run within another: over before the other's time is, so that its answer still counts."""
    left = anyio.current_effective_deadline() - anyio.current_time()
    left -= min(left * SHARE_OF_OUTER, MAX_SECONDS_OF_OUTER)
    if left >= (limits.seconds or math.inf):
        return limits
    return limits.model_copy(update={"seconds": max(left, 0.001)})


def _streams(parts: Parts, events: Events, limits: Limits) -> bool:
    if parts.stream is not None:
        return parts.stream
    return events.listening or limits.seconds is not None


def _concluded(output_type: OutputType[Any] | None, conclusion: Conclusion) -> dict[str, Any]:
    output = conclusion.text if conclusion.output is None else conclusion.output
    if output_type is not None and conclusion.output is None:
        try:
            output = output_type.parse(conclusion.text)
        except OutputError as error:
            raise OutputError(error.message, hint="the aggregator must return the output type") from None
    return {
        "output": output,
        "text": conclusion.text,
        "images": conclusion.images,
        "complete": conclusion.complete,
        "support": conclusion.support,
        "dissent": conclusion.dissent,
    }


def _collected(ctx: RunContext, ledger: Ledger, began: float, *, failed: bool = False) -> RunResult[Any]:
    """What a run has reached, without its output."""
    tasks = sorted(ctx.results.values(), key=lambda result: result.index)
    lost = {result.id for result in tasks if result.outcome == "failed" or result.outcome == "capped"}
    if failed or ctx.stopped_by is not None:
        lost |= {task.id for task in ctx.planned if task.id not in ctx.results}
        lost |= {result.id for result in tasks if result.outcome == "cancelled"}
    # The bare class, as one with a parameter cannot be pickled.
    return RunResult.model_construct(
        run_id=ctx.run_id,
        question=ctx.question,
        output=None,
        text="",
        plan=Plan.model_construct(tasks=tuple(ctx.planned)),
        tasks=tuple(tasks),
        usage=ledger.spent,
        seconds=anyio.current_time() - began,
        complete=False,
        missing=tuple(task.id for task in ctx.planned if task.id in lost),
        stopped_by=ctx.stopped_by or ledger.tripped,
        notes=tuple(ctx.notes),
    )


def _tell_failure(ctx: RunContext, error: BaseException, ledger: Ledger, began: float) -> None:
    if ctx.listening:
        seconds = anyio.current_time() - began
        ctx.emit(RunFailed(run_id=ctx.run_id, error=error_info(error), usage=ledger.spent, seconds=seconds))
