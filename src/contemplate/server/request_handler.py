"""One request and its run, which ends with its answer, with its client, or with the server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.types import Receive, Scope, Send

from ..contemplator import Contemplator
from ..errors import ContemplateError
from ..events import RunStarted
from .api_errors import INTERNAL, ErrorReply, RequestError, run_error, server_error, waits
from .conversation import Question
from .deltas import ReplyDeltas
from .replies import Reply, StreamedReply, WholeReply


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


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a client asks, and the contemplator that it asks, which it calls `model`."""

    mind: Contemplator[Any]
    model: str
    question: Question
    stream: bool = False
    include_usage: bool = False


class RequestHandler:
    """The ASGI application that answers one request, whose body has been read."""

    def __init__(self, request: RunRequest, runs: ActiveRuns) -> None:
        self._request = request
        self._runs = runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and leave nothing running; also when the client goes before the answer is there."""
        request = self._request
        reply: Reply = (
            StreamedReply(request.model, request.include_usage, scope, receive, send)
            if request.stream
            else WholeReply(request.model, scope, receive, send)
        )
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_on_disconnect, receive, group.cancel_scope)
            group.start_soon(reply.keep_alive)
            try:
                await self._run(reply)
            except Exception as error:
                await reply.fail(_error_reply(error))
            group.cancel_scope.cancel()

    async def _run(self, reply: Reply) -> None:
        mind, question, deltas = self._request.mind, self._request.question, ReplyDeltas()
        with self._runs.hold():
            async with mind.stream(question.text, images=question.images, history=question.history) as run:
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
            await reply.end(run.result, deltas.finish_reason(run.result))


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _error_reply(error: Exception) -> ErrorReply:
    if isinstance(error, RequestError):
        return error.reply
    if isinstance(error, ContemplateError):
        return run_error(error)
    logging.getLogger("contemplate.server").error("a request failed", exc_info=error)
    return server_error(INTERNAL, code="internal_error")
