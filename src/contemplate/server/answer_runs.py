"""What is asked, answered by a run: by a new one, or by one that waited for the client's tools."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any

import anyio

from ..decisions import PendingCall
from ..errors import ConfigurationError, SideEffectsError
from ..events import Event, ModelCalled, OutputDelta, PlanDelta, RunStarted, TaskDelta
from ..result import RunResult
from ..run.listeners import Listener
from .active_runs import ActiveRuns
from .api_errors import RequestError, invalid_request, server_error, waits
from .deltas import NOTHING_TOLD, FinishReason, ReplyDelta, ReplyDeltas
from .forced_call import ToCall, answer_call, forced_call, next_step
from .neutral_request import Asked, ReplyWriter
from .outbox import Outbox, Unread, delivering
from .runner import Runner
from .stop_strings import StoppedReply
from .viewer.live_runs import LiveRun, LiveRuns
from .visits import Visit
from .waiting_runs import WaitingRun, as_known, drop_note, names, note_told, suspended

# By these, and by calls that succeed, a model's server gave something: until then it may turn out that it refuses, and
# with what.
_PIECES = frozenset({PlanDelta, TaskDelta, OutputDelta})


async def answer(asked: Asked, reply: ReplyWriter, runs: ActiveRuns, visit: Visit) -> None:
    """Answer what is asked: go on with the run that waits for what the client's tools returned, or make a new one.

    A run that can no longer be found is made anew, from the conversation alone. Where several subagents answer the same
    question, of whom each would call the client's tools, they answer with the next step instead.

    Raises:
        RequestError: the run waits for what no client can give, or there is no such tool.
        ContemplateError: there is no answer.
        Unread: the client does not read it.
    """
    stops = asked.settings.stop if asked.settings is not None else None
    if stops and asked.output_type is None:
        reply = StoppedReply(reply, stops)
    answering = _Answering(reply, runs, visit)
    asked, to_call = forced_call(asked)
    if to_call is not None:
        await answering.with_call(asked, to_call)
        return
    whole, to_call = answer_call(asked)
    before = await runs.waiting.take(whole, visit.owner)
    try:
        await answering.whole(whole, before, to_call)
    except SideEffectsError:
        if not asked.tools:
            raise
        await answering.with_call(*next_step(asked))
    except ConfigurationError:
        if before is None:
            raise
        # The contemplator has forgotten the run, or is another one than before the server was started anew.
        await answering.whole(whole, None, to_call)


class _Answering:
    def __init__(self, reply: ReplyWriter, runs: ActiveRuns, visit: Visit) -> None:
        self._reply = reply
        self._runs = runs
        self._visit = visit
        self._unread = visit.settings.unread_seconds

    async def whole(self, asked: Asked, before: WaitingRun | None, to_call: ToCall | None = None) -> None:
        keep = before
        told = NOTHING_TOLD if before is None else before.told
        deltas = ReplyDeltas(typed=asked.output_type is not None, told=told)
        try:
            result = await self._told(asked, before, deltas)
            keep = suspended(asked, result, deltas.told, before, self._visit.owner) if result.pending else None
            if keep is not None:
                await note_told(keep)
            elif before is not None:
                await drop_note(before)
            usage = result.usage if before is None else result.usage - before.usage
            if to_call is not None and not result.pending:
                await self._end_with_call(asked, result.model_copy(update={"usage": usage}), to_call, deltas)
                return
            pending = _for_client(asked, result.pending)
            rest = None if pending else deltas.rest(result)
            shown = result.model_copy(update={"usage": usage, "pending": pending})
            await self._end(asked, rest, shown, deltas.text(result), deltas.finish_reason(result))
        finally:
            if keep is not None:
                self._runs.waiting.keep(keep)

    async def with_call(self, asked: Asked, to_call: ToCall) -> None:
        deltas = ReplyDeltas(typed=True)
        await self._end_with_call(asked, await self._told(asked, None, deltas), to_call, deltas)

    async def _end_with_call(self, asked: Asked, result: RunResult[Any], to_call: ToCall, deltas: ReplyDeltas) -> None:
        if result.output is None:
            why = f"a limit ended the run before there was a call: {result.stopped_by}"
            raise RequestError(server_error(why, status=503, code="LimitExceeded"))
        result = to_call(result)
        rest = ReplyDelta(content=result.text) if result.text else None
        await self._end(asked, rest, result, result.text, deltas.finish_reason(result))

    async def _end(
        self, asked: Asked, rest: ReplyDelta | None, result: RunResult[Any], text: str, finish_reason: FinishReason
    ) -> None:
        named = tuple(_as_named(asked, each) for each in result.pending)
        result = result.model_copy(update={"pending": named})
        with anyio.move_on_after(self._unread) as reading:
            if rest is not None:
                await self._reply.say(rest)
            await self._reply.end(result, text, finish_reason)
        if reading.cancelled_caught:
            raise Unread

    async def _told(self, asked: Asked, before: WaitingRun | None, deltas: ReplyDeltas) -> RunResult[Any]:
        """Return the result of a run, whose progress and whose answer are told."""
        async with delivering(self._reply.say, self._unread, lambda: self._runs.active) as outbox:
            hearing = _Hearing(self._reply, self._visit, deltas, outbox, self._runs.live)
            try:
                return await _run(asked, before, self._visit, self._runs.runner, hearing.hear)
            except ConfigurationError as error:
                if hearing.started or before is not None or not asked.tools:
                    raise
                raise invalid_request(f"tools: the model {asked.model!r} takes none: {error}", param="tools") from None


class _Hearing:
    """What hears the events of a run, and puts what the client is to be told of them into the outbox."""

    def __init__(self, reply: ReplyWriter, visit: Visit, deltas: ReplyDeltas, outbox: Outbox, live: LiveRuns) -> None:
        self.started = False
        self._reply = reply
        self._visit = visit
        self._deltas = deltas
        self._outbox = outbox
        self._live = live
        self._watched: LiveRun | None = None

    def hear(self, event: Event) -> None:
        try:
            # For pydantic's classes, `isinstance` takes long to say no, and most events are pieces.
            kind = type(event)
            if kind in _PIECES:
                self._outbox.open()
                if kind is TaskDelta:
                    return
            else:
                self._see(event)
            if self._watched is not None:
                self._watched.put(event)
            delta = self._deltas.of(event)
        except Exception as error:
            # A listener that raises would only be dropped.
            self._outbox.fail(error)
            return
        if delta is not None:
            self._outbox.put(delta)

    def _see(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.started = True
            self._reply.run_id = self._visit.run_id = event.run_id
            self._watch(event.run_id)
        if isinstance(event, ModelCalled) and event.error is None:
            self._outbox.open()
        self._visit.see(event)

    def _watch(self, run_id: str) -> None:
        visit = self._visit
        if visit.settings.viewer:
            self._watched = self._live.begin(run_id, visit.model or "", visit.client)


def _run(
    asked: Asked, before: WaitingRun | None, visit: Visit, runner: Runner, on_event: Listener
) -> Awaitable[RunResult[Any]]:
    if before is None:
        return runner.run(asked, visit, on_event)
    return runner.resume(before.run_id, before.decisions, replace(before.asked, run_id=asked.run_id), visit, on_event)


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


def _as_named(asked: Asked, call: PendingCall) -> PendingCall:
    return call.model_copy(update={"tool": asked.tool_names.get(call.tool, call.tool)})
