"""What the database tells of runs, as it happens: there is something new of one in the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import psycopg
from psycopg import Connection, sql

from ..journal.patience import in_thread
from ..journal.postgres.outage import Outage
from ..run.detached_task import OwnTask
from .site import THE_DATABASE, Site

# How soon a lost connection is made anew, in seconds. Whoever waits looks for himself meanwhile, from time to time.
AGAIN_SECONDS = 1.0


class Watch:
    """Waits for something new of one run."""

    def __init__(self) -> None:
        self._news = anyio.Event()

    def tell(self) -> None:
        """End the waiting, this one or the next."""
        self._news.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for so long at most, and return whether there is something new since the last time."""
        with anyio.move_on_after(seconds):
            await self._news.wait()
        there_is = self._news.is_set()
        if there_is:
            self._news = anyio.Event()
        return there_is


class Notices:
    """Listens to what is told of runs, on one connection, from `start` to `stop`; on asyncio and on trio."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._task: OwnTask | None = None

    async def start(self) -> None:
        """Listen from now on.

        Raises:
            psycopg.OperationalError: the database cannot be reached.
        """
        connection = await in_thread(self._connect)
        self._task = OwnTask(lambda: self._listen(connection), lasting=True)

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            await self._task.end()

    @contextmanager
    def watching(self, run_id: str) -> Iterator[Watch]:
        """Lend a watch of a run."""
        watch = Watch()
        self._watches[run_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[run_id].discard(watch)
            if not self._watches[run_id]:
                del self._watches[run_id]

    async def _listen(self, connection: Connection[Any] | None) -> None:
        outage = Outage(THE_DATABASE)
        while True:
            try:
                if connection is None:
                    connection = await in_thread(self._connect)
                    outage.ended()
                    # What was told in between is lost.
                    self._tell("")
                await self._hear(connection)
            except (psycopg.Error, OSError) as error:
                outage.failed(error)
                if connection is not None:
                    connection.close()
                    connection = None
                await anyio.sleep(AGAIN_SECONDS)
            except anyio.get_cancelled_exc_class():
                if connection is not None:
                    connection.close()
                raise

    async def _hear(self, connection: Connection[Any]) -> None:
        # No thread waits for it, as it may be silent for hours.
        while True:
            await anyio.wait_readable(connection.fileno())
            connection.pgconn.consume_input()
            while (notice := connection.pgconn.notifies()) is not None:
                self._tell(notice.extra.decode(errors="replace"))

    def _tell(self, run_id: str) -> None:
        found = self._watches.get(run_id, ()) if run_id else (w for each in self._watches.values() for w in each)
        for watch in tuple(found):
            watch.tell()

    def _connect(self) -> Connection[Any]:
        connection = self._site.connect(autocommit=True)
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._site.recorded)))
        return connection
