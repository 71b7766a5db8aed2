"""Runs in the background: they go on when the client has gone, and can be followed, left and followed again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from time import perf_counter
from typing import Any, NoReturn

import anyio
from starlette.types import Message as AsgiMessage
from starlette.types import Scope

from ...journal import Journal
from ...journal.holding import Holding
from ...journal.patience import PATIENCE
from ...result import RunResult
from ...run.detached_task import OwnTask
from ..active_runs import ActiveRuns
from ..api_errors import CANCELLED, SERVER_STOPPED, Failure, server_error
from ..asgi_run import AsgiRun
from ..deltas import FinishReason, ReplyDelta
from ..event_stream import KEEP_ALIVE_SECONDS
from ..neutral_request import Asked
from ..visits import Count, Visit
from .events import Event, frame
from .resource import Response
from .writer import ResponseWriter

KeepEvents = Callable[[Response, tuple[str, ...]], Awaitable[None]]


class KeptReply:
    """A reply whose events are kept, and told to whoever asks, as often as somebody does.

    Args:
        writer: writes the response.
        keep: stores it, with its events, when it begins and when it ends.
        lasting: whether what is stored outlives the server, so that the next one goes on with it.
        frames: the events that were stored, of a response that was begun before.
    """

    def __init__(
        self, writer: ResponseWriter, keep: KeepEvents, *, lasting: bool = False, frames: Sequence[str] = ()
    ) -> None:
        self.run_id = ""
        self._writer = writer
        self.queued = writer.response
        self._keep = keep
        self._frames = list(frames) or [frame(each).decode() for each in writer.begin()]
        self._lasting = lasting
        self.left = False
        self._told_all = False
        self._more = anyio.Event()
        self._last = anyio.current_time()

    @property
    def response(self) -> Response:
        """How far the response has come."""
        return self._writer.response

    async def begin(self) -> None:
        """Store what is to be made."""
        await self._keep(self.response, tuple(self._frames))

    def start(self) -> None:
        """Say that it is being made."""
        self._add((self._writer.start(),))

    async def say(self, delta: ReplyDelta) -> None:
        """Tell what is new."""
        self._add(self._writer.say(delta))

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Tell the answer."""
        await self._end(self._writer.end(result, text, finish_reason))

    async def fail(self, error: Failure) -> None:
        """Tell the error; that the server stops is none, where the next one goes on."""
        if self._lasting and error.code == SERVER_STOPPED:
            self.leave()
        elif error.code == CANCELLED:
            await self.cancel()
        else:
            await self._end(self._writer.fail(error))

    def leave(self) -> None:
        """Tell those who follow that it goes on, or went on, elsewhere."""
        self.left = True
        self._tell()

    async def cancel(self) -> None:
        """Tell that it was cancelled."""
        await self._end(self._writer.cancel())

    async def keep_alive(self) -> None:
        """Say after each long silence that the work goes on."""
        while True:
            await anyio.sleep_until(self._last + KEEP_ALIVE_SECONDS)
            if anyio.current_time() >= self._last + KEEP_ALIVE_SECONDS:
                self._add((self._writer.still(),))

    async def follow(self, after: int) -> AsyncIterator[str]:
        """Tell the events after the one of this number: those that there were, then those that come, to the last.

        Who was told of more, before a server was started anew, is told the last one.
        """
        place = after + 1
        while True:
            more = self._more
            while place < len(self._frames):
                yield self._frames[place]
                place += 1
            if self._told_all and place > len(self._frames):
                yield self._frames[-1]
            if self._told_all or self.left:
                return
            await more.wait()

    async def _end(self, told: Iterable[Event]) -> None:
        frames = [frame(each).decode() for each in told]
        try:
            await self._keep(self.response, (*self._frames, *frames))
        finally:
            self._frames += frames
            self._told_all = True
            self._tell()

    def _add(self, told: Iterable[Event]) -> None:
        self._frames += [frame(each).decode() for each in told]
        self._last = anyio.current_time()
        self._tell()

    def _tell(self) -> None:
        self._more.set()
        self._more = anyio.Event()


class BackgroundRuns:
    """The runs in the background, by the names under which their responses are kept.

    Args:
        runs: all that go on.
        count: is told of each that is over, and how many seconds it took.
    """

    def __init__(self, runs: ActiveRuns, count: Count) -> None:
        self._runs = runs
        self._count = count
        self._replies: dict[str, KeptReply] = {}
        self._tasks: dict[str, OwnTask] = {}
        self._cancelled: set[str] = set()

    def get(self, name: str) -> KeptReply | None:
        """Return the reply that is being made under this name."""
        return self._replies.get(name)

    def start(self, name: str, asked: Asked, reply: KeptReply, journal: Journal | None, visit: Visit) -> None:
        """Start a run, whose response is kept in `journal`, and which has the limits and budgets of `visit`."""
        reply.run_id = asked.run_id or ""
        self._replies[name] = reply
        self._tasks[name] = OwnTask(lambda: self._run(name, asked, reply, journal, visit), lasting=True)

    async def cancel(self, name: str) -> None:
        """Cancel the run of this name, if there is one, and wait until it is over."""
        if name in self._tasks:
            self._cancelled.add(name)
            run_id = self._replies[name].run_id
            await self._tasks[name].end()
            await self._runs.runner.cancel(run_id)

    async def _run(self, name: str, asked: Asked, reply: KeptReply, journal: Journal | None, visit: Visit) -> None:
        id_ = reply.response.id
        scope: Scope = {}
        # The request is over, and counted, long before its run.
        visit = replace(visit)
        visit.enter(scope)
        began = perf_counter()
        try:
            # Who finds the response unfinished knows by this that somebody is at it.
            async with nullcontext() if journal is None else Holding(journal, id_, PATIENCE):
                try:
                    reply.start()
                    await AsgiRun(asked, lambda *_: reply, self._runs)(scope, _never, _nowhere)
                finally:
                    if not (reply.response.over or reply.left):
                        with anyio.CancelScope(shield=True):
                            await self._broken_off(name, reply)
        except Exception as error:
            logging.getLogger("contemplate.server").error("response %s could not be stored", id_, exc_info=error)
            reply.leave()
        finally:
            self._count(visit, perf_counter() - began)
            self._cancelled.discard(name)
            self._replies.pop(name, None)
            self._tasks.pop(name, None)

    async def _broken_off(self, name: str, reply: KeptReply) -> None:
        if name in self._cancelled:
            await reply.cancel()
        else:
            await reply.fail(server_error("the server is stopping", status=503, code=SERVER_STOPPED))


async def _never() -> NoReturn:
    await anyio.sleep_forever()
    raise AssertionError


async def _nowhere(message: AsgiMessage) -> None:
    """There is no connection."""
