"""What a client has open: the journal, the queues, and an ear for what is told of runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
import psycopg

from ..errors import ClusterBusy, ClusterError, JournalBusy, JournalError
from ..journal import Journal, RunRecord
from ..journal.entries import Status
from ..journal.following import records_of, statuses_of
from ..journal.patience import PATIENCE, in_daemon_thread
from . import roster
from .engine.run_queue import CONNECTIONS, LONGEST_ANSWER, QueuedRun, RunQueue
from .gathered import Gathered
from .lookout import Lookout
from .notices import Notices
from .roster import WorkerInfo
from .site import Site, cluster_error, told_as_ours

# After how many seconds a database is tried again that is away, or has no room; they grow.
PAUSE, LONGEST_PAUSE = 0.05, 1.0

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Link:
    """A client's connections to a cluster, from `open` to `close`.

    Attributes:
        status: returns that of a run in the journal.
        run: returns a run as it is in its queue.
        before_closing: what is to be done before it is closed.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.journal: Journal = site.journal()
        self.queue = RunQueue(site)
        self.notices = Notices(site)
        self.status: Gathered[Status] = Gathered(lambda runs: self.read(statuses_of, self.journal, runs))
        self.run: Gathered[QueuedRun] = Gathered(lambda runs: self.read(self._runs, runs))
        self._records = Gathered(lambda runs: self.read(records_of, self.journal, runs))
        self.before_closing: set[Callable[[], Awaitable[None]]] = set()
        self._lookout = Lookout(site)
        self._limiter: anyio.CapacityLimiter | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            ClusterError: the database cannot be reached.
        """
        await _patiently(self._listen)
        self._limiter = anyio.CapacityLimiter(CONNECTIONS)

    async def close(self) -> None:
        """Close all connections."""
        for end in list(self.before_closing):
            await end()
        limiter, self._limiter = self._limiter, None
        await self.notices.stop()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.queue.close, limiter=limiter)
            await anyio.to_thread.run_sync(self.journal.close, limiter=limiter)

    async def call(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """Call a blocking function in a thread; of all that wait for this client's runs, a few at a time do.

        It is called again if the database is away, or has no room, for some seconds: so it must not matter how often.

        Raises:
            ClusterBusy: the database is not back in that time.
            ClusterError: the client is not open, or is closed: what would be opened now, nobody would close.
        """
        return await _patiently(lambda: self._in_thread(function, *args))

    async def read(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """Do so with a function that only reads: whoever is cancelled does not wait for its end.

        Raises:
            ClusterBusy, ClusterError: as `call` does.
        """
        return await _patiently(lambda: self._in_thread(function, *args, reads=True))

    async def record(self, run_id: str) -> RunRecord | None:
        """Return the record of a run in the journal; None if there is none.

        Raises:
            JournalError: the journal cannot be read, or the record is damaged.
        """
        found = await self._records(run_id)
        if isinstance(found, JournalError):
            raise found
        return found

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers, the oldest first.

        Raises:
            ClusterError: the database cannot be reached, or no worker has ever run there.
        """
        return await self.read(self._workers)

    def _runs(self, run_ids: Sequence[str]) -> Mapping[str, QueuedRun]:
        return {run.run_id: run for run in self.queue.runs(run_ids)}

    async def look_out(self, mind: str) -> None:
        """Say, once, if there is no worker for a contemplator, or none of this version; now and then it is looked."""
        # It is advice: nothing fails for it, nor is the database waited for.
        with suppress(ClusterError):
            if self._lookout.is_due(mind):
                self._lookout.look(mind, await self._in_thread(self._workers, reads=True))

    async def _in_thread(self, function: Callable[[*Args], T], *args: *Args, reads: bool = False) -> T:
        if self._limiter is None:
            raise ClusterError(
                f"the client of {self.site.name} is not open", hint="async with Client(...) as client: ..."
            )
        try:
            if reads:
                return await in_daemon_thread(function, *args, limiter=self._limiter)
            return await anyio.to_thread.run_sync(function, *args, limiter=self._limiter)
        except JournalError as error:
            # To whoever asks it is one database, whichever of its tables was wanted.
            if isinstance(error.__cause__, psycopg.Error):
                raise cluster_error(self.site, error.__cause__) from None
            if isinstance(error, JournalBusy):
                raise ClusterBusy(error.message, hint=error.hint) from None
            raise

    async def _listen(self) -> None:
        with told_as_ours(self.site, known=False):
            await self.notices.start()

    def _workers(self) -> list[WorkerInfo]:
        with told_as_ours(self.site), self.site.connect(longest=LONGEST_ANSWER) as connection:
            return roster.workers(connection, self.site)


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what `attempt` returns, which is tried again for some seconds while the database is away, or has no room.

    Raises:
        ClusterBusy: it is not back in that time.
    """
    until, pause = anyio.current_time() + PATIENCE, PAUSE
    while True:
        try:
            return await attempt()
        except ClusterBusy:
            if anyio.current_time() + pause >= until:
                raise
        await anyio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
