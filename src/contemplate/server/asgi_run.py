"""One request and its run, which ends with its answer, with its client, or with the server."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic

import anyio
from starlette.types import Receive, Scope, Send
from typing_extensions import TypeVar

from ..errors import ContemplateError, LimitExceeded, RunCancelled
from ..limits import BUDGET
from .active_runs import ActiveRuns
from .answer_runs import answer
from .api_errors import INTERNAL, SUSPENDED, Failure, RequestError, budget_spent, run_cancelled, run_error, server_error
from .neutral_request import Asked, ReplyWriter
from .outbox import Unread
from .visits import Visit

_log = logging.getLogger("contemplate.server")

ReplyT = TypeVar("ReplyT", bound=ReplyWriter, default=ReplyWriter)
MakeReply = Callable[[Scope, Receive, Send], ReplyT]


class AsgiRun(Generic[ReplyT]):
    """The ASGI application that answers one request, whose body has been read."""

    def __init__(self, asked: Asked, make_reply: MakeReply[ReplyT], runs: ActiveRuns) -> None:
        self._asked = asked
        self._make_reply = make_reply
        self._runs = runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and leave nothing running; also when the client goes before the answer is there, or reads nothing."""
        visit = Visit.of(scope)
        visit.model, visit.outcome = self._asked.model, "left"
        reply = self._make_reply(scope, receive, send)
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_on_disconnect, receive, group.cancel_scope)
            group.start_soon(reply.keep_alive)
            try:
                async with self._runs.hold():
                    await self.answer(reply, visit)
                visit.outcome = "answered"
            except Unread:
                _log.info("a client read nothing for too long", extra={"request": visit.id})
            except Exception as error:
                failure = _failure(error, visit)
                visit.outcome = "suspended" if failure.code == SUSPENDED else "failed"
                with anyio.move_on_after(visit.settings.unread_seconds):
                    await reply.fail(failure)
            group.cancel_scope.cancel()

    async def answer(self, reply: ReplyT, visit: Visit) -> None:
        """Answer what is asked.

        Raises:
            RequestError: the run waits for what no client can give.
            ContemplateError: there is no answer.
            Unread: the client does not read it.
        """
        await answer(self._asked, reply, self._runs, visit)


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
        case RunCancelled():
            return run_cancelled()
        case ContemplateError():
            return run_error(error)
    _log.error("a request failed", exc_info=error, extra={"request": visit.id})
    return server_error(INTERNAL, code="internal_error")
