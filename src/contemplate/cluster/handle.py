"""What comes of a submitted run: its result, its events; and how it is cancelled."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio

from ..errors import ClusterError, ConfigurationError, RunCancelled, RunNotOver, revived
from ..events import Event, RunFailed
from ..journal import Journal, RunRecord
from ..journal.following import calls_after, status_of
from ..journal.patience import in_thread
from ..result import RunResult
from ..run.journaled_runs import stored_result
from ..usage import NOTHING
from ..views.followed_run import FollowedRun
from . import roster
from .engine.run_queue import QueuedRun, RunQueue, RunState
from .notices import Notices, Watch
from .site import Site, told_as_ours

# How often a run is looked at of which nothing is told, and how soon after it seems to be over, in seconds.
LOOK_SECONDS = 2.0
SOON = 0.005
# For how long a cancelled run may take to write down how far it came.
CANCELLED_SECONDS = 15.0


class Handle:
    """A run that was submitted. It goes on whatever becomes of its handles: `client.handle(run_id)` makes another.

    Attributes:
        run_id: the run's id.
    """

    def __init__(self, run_id: str, site: Site, journal: Journal, queue: RunQueue, notices: Notices) -> None:
        self.run_id = run_id
        self._site = site
        self._journal = journal
        self._queue = queue
        self._notices = notices
        self._warned = False

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
        with self._notices.watching(self.run_id) as watch, anyio.move_on_after(timeout):
            run = await self._until_over(watch)
        if run is None:
            raise RunNotOver(
                f"run {self.run_id!r} is not over after {timeout:g} s: {await self._what_it_waits_for()}",
                hint="it goes on: wait once more, or cancel it",
            )
        record = await in_thread(self._journal.load, self.run_id)
        return _result(run, record)

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events of the run as they are recorded, from its beginning to its end.

        There is an event for each call, tool call and decision, and none for a piece of a text: what a call wrote comes
        in one. What is known of a task or of votes at the end only comes at the end.

        Raises:
            ClusterError: there is no such run, or the database cannot be reached.
            JournalError: the journal cannot be read.
        """
        followed: FollowedRun | None = None
        number = 0
        with self._notices.watching(self.run_id) as watch:
            pause = SOON
            while True:
                run = await self._run()
                over = run.state in ("over", "cancelled")
                entries, number, calls = await in_thread(calls_after, self._journal, self.run_id, number)
                record = await in_thread(self._journal.load, self.run_id) if followed is None or over else None
                if record is not None and followed is None:
                    followed = FollowedRun(record)
                if followed is not None:
                    for event in followed.news(entries, calls):
                        yield event
                if over:
                    break
                seems_over = followed is not None and await self._seems_over()
                pause = min(2 * pause, LOOK_SECONDS) if seems_over else SOON
                await watch.wait(pause if seems_over else LOOK_SECONDS)
            if followed is not None and record is not None:
                for event in followed.end(record):
                    yield event
            elif run.error is not None:
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
        await in_thread(self._queue.cancel, self.run_id)

    async def _run(self) -> QueuedRun:
        run = await in_thread(self._queue.run, self.run_id)
        if run is None:
            raise ClusterError(f"no run {self.run_id!r} was submitted", hint="is it the same journal, and its id?")
        return run

    async def _until_over(self, watch: Watch) -> QueuedRun:
        pause, since_cancelled = SOON, anyio.current_time()
        while True:
            run = await self._run()
            seems_over = await self._seems_over()
            if run.state == "over":
                return run
            if run.state != "cancelled":
                since_cancelled = anyio.current_time()
            elif seems_over or anyio.current_time() - since_cancelled > CANCELLED_SECONDS:
                return run
            # It is over in the journal a moment before it is out of the queue, or it is one that goes on.
            pause = min(2 * pause, LOOK_SECONDS) if seems_over else SOON
            if not await watch.wait(pause if seems_over else LOOK_SECONDS) and run.state == "queued":
                await self._warn_if_nobody_works()

    async def _seems_over(self) -> bool:
        """Return whether nobody works at the run, as far as the journal knows."""
        return await in_thread(status_of, self._journal, self.run_id) != "running"

    async def _what_it_waits_for(self) -> str:
        run = await in_thread(lambda: self._queue.run(self.run_id, with_question=True))
        if run is None or run.state != "queued":
            return "a worker has it" if run is not None else "it was removed"
        alive = [each for each in await self._workers() if each.alive]
        if any(run.mind in each.minds for each in alive):
            return f"it waits for its turn with {run.mind!r}"
        there = "; ".join(map(str, alive)) or "none at all"
        return f"it waits for a worker with {run.mind!r}, and those alive are: {there}"

    async def _warn_if_nobody_works(self) -> None:
        if not self._warned and "waits for a worker" in (what := await self._what_it_waits_for()):
            self._warned = True
            logging.getLogger("contemplate").warning("run %r: %s", self.run_id, what)

    async def _workers(self) -> list[roster.WorkerInfo]:
        def look() -> list[roster.WorkerInfo]:
            with told_as_ours(self._site), self._site.connect() as connection:
                return roster.workers(connection, self._site)

        return await in_thread(look)


def _result(run: QueuedRun, record: RunRecord | None) -> RunResult[Any]:
    """Return the result of a run that is over.

    Raises:
        ContemplateError: it has none.
    """
    partial = None if record is None or record.result is None else stored_result(record)
    if run.state == "cancelled":
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
