"""One request and its run, which ends with its answer, with its client, or with the server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from starlette.types import Receive, Scope, Send

from ..errors import ContemplateError
from ..events import RunStarted
from .api_errors import INTERNAL, Failure, RequestError, run_error, server_error, waits
from .asked import Asked, Reply
from .deltas import ReplyDeltas


class ActiveRuns:
    """The runs that are going on."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._stopped = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold one run while it goes on.

        Raises:
            RequestError: `stop` has ended the run.
        """
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._stopped:
                scope.cancel()
            try:
                yield
            finally:
                self._scopes.discard(scope)
        if scope.cancelled_caught:
            raise RequestError(server_error("the server is stopping", status=503, code="server_stopped"))

    def stop(self) -> None:
        """End all runs, and every later one."""
        self._stopped = True
        for scope in self._scopes:
            scope.cancel()


MakeReply = Callable[[Scope, Receive, Send], Reply]


class AsgiRun:
    """The ASGI application that answers one request, whose body has been read."""

    def __init__(self, asked: Asked, make_reply: MakeReply, runs: ActiveRuns) -> None:
        self._asked = asked
        self._make_reply = make_reply
        self._runs = runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and leave nothing running; also when the client goes before the answer is there."""
        reply = self._make_reply(scope, receive, send)
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_on_disconnect, receive, group.cancel_scope)
            group.start_soon(reply.keep_alive)
            try:
                await self._run(reply)
            except Exception as error:
                await reply.fail(_failure(error))
            group.cancel_scope.cancel()

    async def _run(self, reply: Reply) -> None:
        asked = self._asked
        deltas = ReplyDeltas(typed=asked.output_type is not None)
        question = asked.question
        with self._runs.hold():
            async with asked.mind.stream(
                question.text,
                images=question.images,
                history=question.history,
                output_type=asked.output_type,
                answer_settings=asked.settings,
                seed=asked.seed,
                tools=asked.tools,
                labels=asked.labels or None,
            ) as run:
                async for event in run:
                    if isinstance(event, RunStarted):
                        reply.run_id = event.run_id
                    delta = deltas.of(event)
                    if delta is not None:
                        await reply.say(delta)
            if run.result.pending:
                raise RequestError(waits(run.result.pending))
            rest = deltas.rest(run.result)
            if rest is not None:
                await reply.say(rest)
            await reply.end(run.result, deltas.text(run.result), deltas.finish_reason(run.result))


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _failure(error: Exception) -> Failure:
    if isinstance(error, RequestError):
        return error.failure
    if isinstance(error, ContemplateError):
        return run_error(error)
    logging.getLogger("contemplate.server").error("a request failed", exc_info=error)
    return server_error(INTERNAL, code="internal_error")
