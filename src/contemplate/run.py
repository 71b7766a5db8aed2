"""One run: from a question to a result, or to an error that carries what was reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import anyio

from .agent import AgentFunction
from .aggregators import Aggregator
from .budget import Ledger
from .calls import Caller, Events, Listener
from .context import RunContext
from .engine import execute, needs_a_share
from .errors import ContemplateError, OutputError
from .events import RunFailed, RunFinished, RunStarted
from .log import log_event, wanted
from .messages import ImagePart
from .models import Model
from .plan import Plan
from .planners import Planner
from .result import Conclusion, ErrorInfo, RunResult
from .schema import OutputType
from .usage import Limits

if TYPE_CHECKING:
    from .journal.recording import Recording


@dataclass(frozen=True, slots=True)
class Parts:
    """What a contemplator is put together from. `stream` None: where somebody listens or time is limited."""

    model: Model
    planner: Planner
    agent: AgentFunction
    aggregator: Aggregator
    output: OutputType[Any] | None = None
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked, what may be spent on it, and who listens."""

    run_id: str
    question: str
    images: tuple[ImagePart, ...] = ()
    limits: Limits = field(default_factory=Limits)
    listeners: Sequence[Listener] = ()

    def without_clock(self) -> Job:
        """The same, with all the time in the world: what is replayed ends when it ended."""
        return replace(self, limits=self.limits.model_copy(update={"seconds": None}))


async def carry_out(parts: Parts, job: Job, recording: Recording | None = None) -> RunResult[Any]:
    """Run `job`. When this returns or raises, nothing of it is running.

    Raises:
        ContemplateError: there is no answer; what was finished until then is in its `partial`.
    """
    began = anyio.current_time()
    events = Events([*job.listeners, *([log_event] if wanted() else [])])
    ledger = Ledger(job.limits, keep_for_aggregator=needs_a_share(parts.aggregator))
    async with AsyncExitStack() as stack:
        ctx = RunContext(
            run_id=job.run_id,
            question=job.question,
            images=job.images,
            output=parts.output,
            model=parts.model,
            caller=Caller(job.run_id, ledger, events, stack, recording),
            deadline=math.inf if job.limits.seconds is None else began + job.limits.seconds,
        )
        if recording is not None:
            recording.attach(complain=ctx.note, time_is_up=lambda: ctx.expire())
        if events.listening:
            events.emit(RunStarted(run_id=job.run_id, question=job.question, model=parts.model.name))
        try:
            conclusion = await execute(
                ctx,
                planner=parts.planner,
                agent=parts.agent,
                aggregator=parts.aggregator,
                limits=job.limits,
                streaming=_streams(parts, events, job.limits),
            )
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
        ctx.emit(RunFailed(run_id=ctx.run_id, error=ErrorInfo.of(error), usage=ledger.spent, seconds=seconds))
