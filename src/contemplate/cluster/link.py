"""What a client has open: the journal, the queues, and an ear for what is told of runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from ..errors import ClusterError
from ..journal import Journal
from . import roster
from .engine.run_queue import CONNECTIONS, RunQueue
from .notices import Notices
from .roster import WorkerInfo
from .site import Site, told_as_ours

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Link:
    """A client's connections to a cluster, from `open` to `close`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.journal: Journal = site.journal()
        self.queue = RunQueue(site)
        self.notices = Notices(site)
        self._limiter: anyio.CapacityLimiter | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            ClusterError: the database cannot be reached.
        """
        with told_as_ours(self.site):
            await self.notices.start()
        self._limiter = anyio.CapacityLimiter(CONNECTIONS)

    async def close(self) -> None:
        """Close all connections."""
        limiter, self._limiter = self._limiter, None
        await self.notices.stop()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.queue.close, limiter=limiter)
            await anyio.to_thread.run_sync(self.journal.close, limiter=limiter)

    async def call(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """Call a blocking function in a thread; of all that wait for this client's runs, a few at a time do.

        Raises:
            ClusterError: the client is not open, or is closed: what would be opened now, nobody would close.
        """
        if self._limiter is None:
            raise ClusterError(
                f"the client of {self.site.name} is not open", hint="async with Client(...) as client: ..."
            )
        return await anyio.to_thread.run_sync(function, *args, limiter=self._limiter)

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers, the oldest first.

        Raises:
            ClusterError: the database cannot be reached, or no worker has ever run there.
        """
        return await self.call(self._workers)

    def _workers(self) -> list[WorkerInfo]:
        with told_as_ours(self.site), self.site.connect() as connection:
            return roster.workers(connection, self.site)
