"""One request and its run, which ends with its answer, with its client, or with the server."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from starlette.types import Receive, Scope, Send

from ..errors import ContemplateError, LimitExceeded
from ..events import Event, RunStarted
from ..limits import BUDGET
from .active_runs import ActiveRuns
from .api_errors import INTERNAL, Failure, RequestError, budget_spent, run_error, server_error, waits
from .asked import Asked, Reply
from .deltas import ReplyDeltas
from .outbox import Outbox, Unread, delivering
from .visits import Visit

_log = logging.getLogger("contemplate.server")

MakeReply = Callable[[Scope, Receive, Send], Reply]


class AsgiRun:
    """The ASGI application that answers one request, whose body has been read."""

    def __init__(self, asked: Asked, make_reply: MakeReply, runs: ActiveRuns) -> None:
        self._asked = asked
        self._make_reply = make_reply
        self._runs = runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and leave nothing running; also when the client goes before the answer is there, or reads nothing."""
        visit = Visit.of(scope)
        visit.model, visit.outcome = self._asked.model, "left"
        unread = visit.settings.unread_seconds
        reply = self._make_reply(scope, receive, send)
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_on_disconnect, receive, group.cancel_scope)
            group.start_soon(reply.keep_alive)
            try:
                await self._run(reply, visit)
            except Unread:
                _log.info("a client read nothing for too long", extra={"request": visit.id})
            except Exception as error:
                visit.outcome = "failed"
                with anyio.move_on_after(unread):
                    await reply.fail(_failure(error, visit))
            group.cancel_scope.cancel()

    async def _run(self, reply: Reply, visit: Visit) -> None:
        asked = self._asked
        deltas = ReplyDeltas(typed=asked.output_type is not None)
        question = asked.question
        unread = visit.settings.unread_seconds
        limits = visit.limits(asked.mind.limits)
        async with self._runs.hold():
            async with delivering(reply.say, unread, lambda: self._runs.active) as outbox:
                result = await asked.mind.run(
                    question.text,
                    images=question.images,
                    history=question.history,
                    output_type=asked.output_type,
                    answer_settings=asked.settings,
                    seed=asked.seed,
                    limits=limits,
                    budget=visit.budgets,
                    tools=asked.tools,
                    labels=asked.labels or None,
                    on_event=_listener(reply, visit, deltas, outbox),
                )
                if result.pending:
                    visit.outcome = "suspended"
                    raise RequestError(waits(result.pending))
                rest = deltas.rest(result)
                if rest is not None:
                    outbox.put(rest)
            with anyio.move_on_after(unread) as reading:
                await reply.end(result, deltas.text(result), deltas.finish_reason(result))
            if reading.cancelled_caught:
                raise Unread
            visit.outcome = "answered"


def _listener(reply: Reply, visit: Visit, deltas: ReplyDeltas, outbox: Outbox) -> Callable[[Event], None]:
    """Return what hears the events of a run, and puts what the client is to be told of them into `outbox`."""

    def hear(event: Event) -> None:
        try:
            if isinstance(event, RunStarted):
                reply.run_id = visit.run_id = event.run_id
            visit.see(event)
            delta = deltas.of(event)
        except Exception as error:
            # A listener that raises would only be dropped.
            outbox.fail(error)
            return
        if delta is not None:
            outbox.put(delta)

    return hear


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _failure(error: Exception, visit: Visit) -> Failure:
    match error:
        case RequestError():
            return error.failure
        case LimitExceeded():
            spent = next((each for each in visit.budgets if error.limit == BUDGET + each.name), None)
            return run_error(error) if spent is None else budget_spent(spent)
        case ContemplateError():
            return run_error(error)
    _log.error("a request failed", exc_info=error, extra={"request": visit.id})
    return server_error(INTERNAL, code="internal_error")
