"""One request and its run. The run ends with its answer, with its client, or with the server."""

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
from .conversation import Question
from .pieces import Pieces
from .problems import INTERNAL, Problem, Refused, broken, failed_run
from .replies import Reply, Streamed, Whole


class Runs:
    """The runs that are going on."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._stopped = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Holds one run.

        Raises:
            Refused: `stop` has ended it.
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
            raise Refused(broken("the server is stopping", status=503, code="server_stopped"))

    def stop(self) -> None:
        """End all runs, and every later one."""
        self._stopped = True
        for scope in self._scopes:
            scope.cancel()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks, and whom. `model` is the name by which it asks."""

    mind: Contemplator[Any]
    model: str
    question: Question
    stream: bool = False
    include_usage: bool = False


class Answering:
    """The ASGI application that answers one request, whose body has been read."""

    def __init__(self, asked: Asked, runs: Runs) -> None:
        self._asked = asked
        self._runs = runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and leave nothing running; also when the client goes before the answer is there."""
        asked = self._asked
        reply: Reply = (
            Streamed(asked.model, asked.include_usage, scope, receive, send)
            if asked.stream
            else Whole(asked.model, scope, receive, send)
        )
        async with anyio.create_task_group() as group:
            group.start_soon(_go_with_the_client, receive, group.cancel_scope)
            group.start_soon(reply.keep_alive)
            try:
                await self._run(reply)
            except Exception as error:
                await reply.fail(_problem(error))
            group.cancel_scope.cancel()

    async def _run(self, reply: Reply) -> None:
        mind, question, pieces = self._asked.mind, self._asked.question, Pieces()
        with self._runs.one():
            async with mind.stream(question.text, images=question.images) as run:
                async for event in run:
                    if isinstance(event, RunStarted):
                        reply.run_id = event.run_id
                    piece = pieces.of(event)
                    if piece is not None:
                        await reply.say(piece)
            rest = pieces.rest(run.result)
            if rest is not None:
                await reply.say(rest)
            await reply.end(run.result, pieces.finish_reason(run.result))


async def _go_with_the_client(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _problem(error: Exception) -> Problem:
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, ContemplateError):
        return failed_run(error)
    logging.getLogger("contemplate.server").error("a request failed", exc_info=error)
    return broken(INTERNAL, code="internal_error")
