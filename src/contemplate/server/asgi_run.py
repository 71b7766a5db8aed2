"""One request and its run, which ends with its answer, with its client, or with the server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Generic

import anyio
from starlette.types import Receive, Scope, Send
from typing_extensions import TypeVar

from ..decisions import PendingCall
from ..errors import ConfigurationError, ContemplateError, SideEffectsError
from ..events import RunStarted
from ..result import RunResult
from ..stream import RunStream
from .api_errors import INTERNAL, Failure, RequestError, invalid_request, run_error, server_error, waits
from .asked import Asked, Reply
from .deltas import NOTHING_TOLD, ReplyDelta, ReplyDeltas
from .forced_call import ToCall, forced_call, next_step
from .stop_strings import StoppedReply
from .waiting_runs import WaitingRun, WaitingRuns, as_known, names, suspended


class ActiveRuns:
    """The runs that are going on, and those that wait for their clients."""

    def __init__(self) -> None:
        self.waiting = WaitingRuns()
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


ReplyT = TypeVar("ReplyT", bound=Reply, default=Reply)
MakeReply = Callable[[Scope, Receive, Send], ReplyT]


class AsgiRun(Generic[ReplyT]):
    """The ASGI application that answers one request, whose body has been read."""

    def __init__(self, asked: Asked, make_reply: MakeReply[ReplyT], runs: ActiveRuns) -> None:
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
                with self._runs.hold():
                    await self.answer(reply)
            except Exception as error:
                await reply.fail(_failure(error))
            group.cancel_scope.cancel()

    async def answer(self, reply: ReplyT) -> None:
        """Answer what is asked.

        Raises:
            RequestError: the run waits for what no client can give.
            ContemplateError: there is no answer.
        """
        await answer(self._asked, reply, self._runs.waiting)


async def answer(asked: Asked, reply: Reply, waiting: WaitingRuns) -> None:
    """Answer what is asked: go on with the run that waits for what the client's tools returned, or make a new one.

    A run that can no longer be found is made anew, from the conversation alone. Where several subagents answer the same
    question, of whom each would call the client's tools, they answer with the next step instead.

    Raises:
        RequestError: the run waits for what no client can give, or there is no such tool.
        ContemplateError: there is no answer.
    """
    stops = asked.settings.stop if asked.settings is not None else None
    if stops and asked.output_type is None:
        reply = StoppedReply(reply, stops)
    asked, to_call = forced_call(asked)
    if to_call is not None:
        await _answer_with_call(asked, to_call, reply)
        return
    before = await waiting.take(asked)
    try:
        await _answer(asked, before, reply, waiting)
    except SideEffectsError:
        if not asked.tools:
            raise
        await _answer_with_call(*next_step(asked), reply)
    except ConfigurationError:
        if before is None:
            raise
        # The contemplator has forgotten the run, or is another one than before the server was started anew.
        await _answer(asked, None, reply, waiting)


async def _answer(asked: Asked, before: WaitingRun | None, reply: Reply, waiting: WaitingRuns) -> None:
    keep = before
    deltas = ReplyDeltas(typed=asked.output_type is not None, told=NOTHING_TOLD if before is None else before.told)
    try:
        result = await _told(_stream(asked, before), deltas, reply)
        keep = suspended(asked, result, deltas.told, before) if result.pending else None
        usage = result.usage if before is None else result.usage - before.usage
        pending = _for_client(asked, result.pending)
        rest = None if pending else deltas.rest(result)
        if rest is not None:
            await reply.say(rest)
        shown = result.model_copy(update={"usage": usage, "pending": pending})
        await reply.end(shown, deltas.text(result), deltas.finish_reason(result))
    finally:
        if keep is not None:
            waiting.keep(keep)


async def _answer_with_call(asked: Asked, to_call: ToCall, reply: Reply) -> None:
    deltas = ReplyDeltas(typed=True)
    result = await _told(_stream(asked, None), deltas, reply)
    if result.output is None:
        why = f"a limit ended the run before there was a call: {result.stopped_by}"
        raise RequestError(server_error(why, status=503, code="LimitExceeded"))
    result = to_call(result)
    if result.text:
        await reply.say(ReplyDelta(content=result.text))
    await reply.end(result, result.text, deltas.finish_reason(result))


async def _told(
    stream: AbstractAsyncContextManager[RunStream[Any]], deltas: ReplyDeltas, reply: Reply
) -> RunResult[Any]:
    """Return the result of a run, whose progress and whose answer are told."""
    async with stream as run:
        async for event in run:
            if isinstance(event, RunStarted):
                reply.run_id = event.run_id
            delta = deltas.of(event)
            if delta is not None:
                await reply.say(delta)
    return run.result


def _stream(asked: Asked, before: WaitingRun | None) -> AbstractAsyncContextManager[RunStream[Any]]:
    if before is not None:
        # As it was asked at first: what is recorded is found again by what was sent.
        first = before.asked
        return asked.mind.resume_stream(
            before.run_id,
            before.decisions,
            output_type=first.output_type,
            mode=first.mode,
            answer_settings=first.settings,
            seed=first.seed,
            tools=first.tools,
        )
    question = asked.question
    try:
        return asked.mind.stream(
            question.text,
            images=question.images,
            history=question.history,
            output_type=asked.output_type,
            mode=asked.mode,
            answer_settings=asked.settings,
            seed=asked.seed,
            tools=() if asked.tool_choice == "none" else asked.tools,
            labels=asked.labels or None,
        )
    except ConfigurationError as error:
        if not asked.tools:
            raise
        raise invalid_request(f"tools: the model {asked.model!r} takes none: {error}", param="tools") from None


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
