"""What is asked, answered by a run: by a new one, or by one that waited for the client's tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from ..decisions import PendingCall
from ..events import Event, ModelCalled, OutputDelta, PlanDelta, RunStarted, TaskDelta
from ..result import RunResult
from .active_runs import ActiveRuns
from .api_errors import RequestError, waits
from .asked import Asked, Reply
from .deltas import NOTHING_TOLD, ReplyDeltas
from .forced_call import forced_call
from .outbox import Outbox, Unread, delivering
from .visits import Visit
from .waiting_runs import WaitingRun, as_known, names, suspended

Listener = Callable[[Event], None]


async def answer(asked: Asked, reply: Reply, runs: ActiveRuns, visit: Visit) -> None:
    """Answer what is asked: go on with the run that waits for what the client's tools returned, or make a new one.

    A run that can no longer be found is made anew, from the conversation alone.

    Raises:
        RequestError: the run waits for what no client can give.
        ContemplateError: there is no answer.
        Unread: the client does not read it.
    """
    asked, forced = forced_call(asked)
    before = await runs.waiting.take(asked)
    keep = before
    deltas = ReplyDeltas(typed=asked.output_type is not None, told=NOTHING_TOLD if before is None else before.told)
    unread = visit.settings.unread_seconds
    try:
        async with delivering(reply.say, unread, lambda: runs.active) as outbox:
            result = await _run(asked, before, visit, _listener(reply, visit, deltas, outbox))
            keep = suspended(asked, result, deltas.told, before) if result.pending else None
            usage = result.usage if before is None else result.usage - before.usage
            result = result.model_copy(update={"usage": usage})
            if result.pending:
                result = result.model_copy(update={"pending": _for_client(asked, result.pending)})
            elif forced:
                result = forced(result)
            elif (rest := deltas.rest(result)) is not None:
                outbox.put(rest)
        with anyio.move_on_after(unread) as reading:
            await reply.end(result, deltas.text(result), deltas.finish_reason(result))
        if reading.cancelled_caught:
            raise Unread
    finally:
        if keep is not None:
            runs.waiting.keep(keep)


def _run(asked: Asked, before: WaitingRun | None, visit: Visit, on_event: Listener) -> Awaitable[RunResult[Any]]:
    limits = visit.limits(asked.mind.limits)
    if before is not None:
        # As it was asked at first: what is recorded is found again by what was sent.
        first = before.asked
        return asked.mind.resume(
            before.run_id,
            before.decisions,
            output_type=first.output_type,
            answer_settings=first.settings,
            seed=first.seed,
            tools=first.tools,
            limits=limits,
            budget=visit.budgets,
            on_event=on_event,
        )
    question = asked.question
    return asked.mind.run(
        question.text,
        images=question.images,
        history=question.history,
        output_type=asked.output_type,
        answer_settings=asked.settings,
        seed=asked.seed,
        tools=() if asked.tool_choice == "none" else asked.tools,
        labels=asked.labels or None,
        limits=limits,
        budget=visit.budgets,
        on_event=on_event,
    )


def _listener(reply: Reply, visit: Visit, deltas: ReplyDeltas, outbox: Outbox) -> Listener:
    """Return what hears the events of a run, and puts what the client is to be told of them into `outbox`."""

    def hear(event: Event) -> None:
        try:
            if isinstance(event, RunStarted):
                reply.run_id = visit.run_id = event.run_id
            if _is_from_upstream(event):
                outbox.open()
            visit.see(event)
            delta = deltas.of(event)
        except Exception as error:
            # A listener that raises would only be dropped.
            outbox.fail(error)
            return
        if delta is not None:
            outbox.put(delta)

    return hear


def _is_from_upstream(event: Event) -> bool:
    """Return whether a model's server gave something: until then it may turn out that it refuses, and with what."""
    return isinstance(event, PlanDelta | TaskDelta | OutputDelta) or (
        isinstance(event, ModelCalled) and event.error is None
    )


def _for_client(asked: Asked, pending: Sequence[PendingCall]) -> tuple[PendingCall, ...]:
    """Return the calls that go out, under the ids by which clients know them.

    Raises:
        RequestError: some are not of the client's tools.
    """
    others = [each for each in pending if each.kind != "external" or each.tool not in names(asked)]
    if others:
        raise RequestError(waits(others))
    going_out = pending if asked.parallel_tool_calls else pending[:1]
    return tuple(map(as_known, going_out))
