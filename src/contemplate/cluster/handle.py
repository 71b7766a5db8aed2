"""What comes of a submitted run: its result, its events; and how it is cancelled."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio

from ..errors import ClusterError, ConfigurationError, RunCancelled, RunNotOver, revived
from ..events import Event, RunFailed
from ..journal import RunRecord
from ..journal.entries import Status
from ..journal.following import calls_after
from ..result import RunResult
from ..run.journaled_runs import stored_result
from ..usage import NOTHING
from ..views.followed_run import FollowedRun
from .engine.run_queue import QueuedRun, RunState
from .link import Link
from .lookout import no_worker

# How often a run is looked at of which nothing is told, and how soon after it seems to be over, in seconds.
LOOK_SECONDS = 2.0
SOON = 0.005
# How long it may take to find out why a run is not over.
TO_TELL_SECONDS = 2.0
# For how long a cancelled run may take to write down how far it came.
CANCELLED_SECONDS = 15.0
# How often a run is looked at that nobody has taken, and for how many seconds it may wait before it is looked whether
# there is anybody: that it begins, is told.
WAITS_SECONDS = 1.0


class Handle:
    """A run that was submitted. It goes on whatever becomes of its handles: `client.handle(run_id)` makes another.

    Attributes:
        run_id: the run's id.
    """

    def __init__(self, run_id: str, link: Link) -> None:
        self.run_id = run_id
        self._link = link

    def __repr__(self) -> str:
        return f"Handle({self.run_id!r})"

    async def state(self) -> RunState:
        """Return where it is: "queued", "running", "over" or "cancelled".

        Raises:
            ClusterError: there is no such run, or the database cannot be reached.
        """
        return (await self._run()).state

    async def result(self, *, timeout: float | None = None) -> RunResult[Any]:  # noqa: ASYNC109 - an error says more
        """Wait for the run to be over, and return its result, as `Contemplator.run` does.

        The output of a typed contemplator is JSON data. The subagents' conversations are in the journal only.

        Args:
            timeout: for how many seconds it is waited for; None for ever, with a warning in the log if there is no
                worker that could take it.

        Raises:
            RunNotOver: it is not over in that time. It goes on.
            RunCancelled: it was cancelled; `partial` has what there was of it.
            ContemplateError: the error that ended it, with the results so far in `partial`.
            ClusterError: there is no such run, or the database cannot be reached.
        """
        if timeout is not None and timeout <= 0:
            raise ConfigurationError(f"result({timeout=})", hint="a number of seconds above zero, or None")
        run: QueuedRun | None = None
        with anyio.move_on_after(timeout):
            async with aclosing(self._looks()) as looks:
                async for look in looks:
                    run = look
        if run is None:
            raise RunNotOver(
                f"run {self.run_id!r} is not over after {timeout:g} s: {await self._what_it_waits_for()}",
                hint="it goes on: wait once more, or cancel it",
            )
        return _result(run, await self._record())

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the events of the run as they are recorded, from its beginning to its end.

        There is an event for each call, tool call and decision, and none for a piece of a text: what a call wrote comes
        in one. What is known of a task or of votes at the end only comes at the end.

        Raises:
            ClusterError: there is no such run, or the database cannot be reached.
            JournalError: the journal cannot be read.
        """
        followed: FollowedRun | None = None
        number = 0
        async with aclosing(self._looks()) as looks:
            async for run in looks:
                entries, number, calls = await self._link.read(calls_after, self._link.journal, self.run_id, number)
                record = await self._record() if followed is None or run is not None else None
                if record is not None and followed is None:
                    followed = FollowedRun(record)
                if followed is not None:
                    for event in followed.news(entries, calls):
                        yield event
        if followed is not None and record is not None:
            for event in followed.end(record):
                yield event
        elif run is not None and run.error is not None:
            failed = RunFailed(error=run.error, usage=NOTHING, seconds=0.0)
            failed.stamp(self.run_id, "", 0.0)
            yield failed

    async def cancel(self) -> None:
        """Cancel the run, wherever it is: if it waits in a queue it never starts, if it goes on it is interrupted.

        Nothing happens to one that is over.

        Raises:
            ClusterError: there is no such run, or the database cannot be reached.
        """
        await self._run()
        await self._link.call(self._link.queue.cancel, [self.run_id])

    async def _looks(self) -> AsyncGenerator[QueuedRun | None, None]:
        """Yield whenever there is something new of the run, and now and then: None, and at last the run, once over."""
        pause, news, cancelled, since = SOON, False, 0.0, anyio.current_time()
        with self._link.notices.watching(self.run_id) as watch:
            while True:
                status = await self._status()
                if status == "answered":
                    # That is final. In the queue it is over a moment later, and nobody waits for that.
                    yield QueuedRun(self.run_id, "over", "", None)
                    return
                seems_over, waits = status != "running", False
                if seems_over or not news:
                    run = await self._run()
                    waits = run.state == "queued"
                    cancelled = (cancelled or anyio.current_time()) if run.state == "cancelled" else 0.0
                    has_ended = seems_over or anyio.current_time() > cancelled + CANCELLED_SECONDS
                    if run.state == "over" or (cancelled and has_ended):
                        yield run
                        return
                    if run.state == "queued" and anyio.current_time() >= since + WAITS_SECONDS:
                        await self._link.look_out(run.mind)
                yield None
                # It is over in the journal a moment before it is in the queue; or it goes on again.
                pause = min(2 * pause, LOOK_SECONDS) if seems_over and not waits else SOON
                news = await watch.wait(WAITS_SECONDS if waits else pause if seems_over else LOOK_SECONDS)

    async def _run(self) -> QueuedRun:
        run = await self._link.run(self.run_id)
        if run is None:
            raise ClusterError(f"no run {self.run_id!r} was submitted", hint="is it the same journal, and its id?")
        return run

    async def _status(self) -> Status | None:
        return await self._link.status(self.run_id)

    async def _record(self) -> RunRecord | None:
        return await self._link.record(self.run_id)

    async def _what_it_waits_for(self) -> str:
        # Whoever has waited for as long as he would does not wait much longer to be told.
        with anyio.move_on_after(TO_TELL_SECONDS):
            return await self._where_it_is()
        return "the database does not answer"

    async def _where_it_is(self) -> str:
        run = await self._run()
        alive = [each for each in await self._link.workers() if each.alive]
        if run.state != "queued":
            has_it = any(each.worker == run.worker for each in alive)
            return "a worker has it" if has_it else f"worker {run.worker} has it, and has not been heard of"
        return no_worker(run.mind, alive, self._link.site) or f"it waits for its turn with {run.mind!r}"


def _result(run: QueuedRun, record: RunRecord | None) -> RunResult[Any]:
    """Return the result of a run that is over.

    Raises:
        ContemplateError: it has none.
    """
    partial = None if record is None or record.result is None else stored_result(record)
    answered = record is not None and record.status == "answered"
    if run.state == "cancelled" and not answered:
        cancelled = RunCancelled(f"run {run.run_id!r} was cancelled", hint="client.resume(run_id) goes on with it")
        cancelled.partial = partial
        raise cancelled
    if run.error is not None:
        error = revived(run.error)
        error.partial = partial if record is not None and record.status in ("failed", "interrupted") else None
        raise error
    if partial is None:
        raise ClusterError(f"run {run.run_id!r} is over, and not in the journal any more", hint="was it pruned?")
    return partial
