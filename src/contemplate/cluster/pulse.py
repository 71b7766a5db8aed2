"""What a worker does every few seconds: it says that it is alive, and looks after its own runs and those of others.

In a thread of its own, so that code of a user's that holds up the event loop does not make the worker look dead.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Collection
from time import monotonic
from typing import Any

import psycopg
from psycopg import Connection, sql

from ..errors import ClusterError
from ..journal.postgres.connections import PostgresConnection
from ..journal.postgres.outage import Outage
from . import roster
from .engine.run_queue import RunQueue
from .reaper import LOOKS, Reaper
from .roster import WorkerInfo
from .site import THE_DATABASE, Site

# After how many seconds a database that does not answer is away: as soon as a network that loses what is sent.
ANSWER_SECONDS = 10.0


class Pulse:
    """The heartbeat of a worker: `enroll`, `start`, `stop`, and `close` in any case.

    Args:
        site: the database.
        queue: the queues.
        worker: says what there is to say of the worker.
        going_on: returns the ids of the runs that it carries out.
        end: ends those that are no longer the worker's, as they were cancelled, or given to another.
    """

    def __init__(
        self,
        site: Site,
        queue: RunQueue,
        worker: Callable[[], WorkerInfo],
        going_on: Callable[[], Collection[str]],
        end: Callable[[Collection[str]], None],
    ) -> None:
        self._site = site
        self._queue = queue
        self._worker = worker
        self._going_on = going_on
        self._end = end
        self._reaper = Reaper(site, queue)
        self._interval = worker().heartbeat / LOOKS
        self._connection: PostgresConnection | None = None
        self._over = False
        self._outage = Outage(THE_DATABASE)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._beat_on, name="contemplate-pulse", daemon=True)

    @property
    def takeovers(self) -> int:
        """How many runs of dead workers this one has given to others."""
        return self._reaper.given

    def enroll(self) -> None:
        """Say for the first time that the worker is there. Before it has a run: who has one and is not there is dead.

        Raises:
            psycopg.Error: the table of workers cannot be written.
        """
        connection, worker = self._connected(), self._worker()
        roster.create(connection, self._site)
        others = [each for each in roster.workers(connection, self._site) if worker.overrules(each)]
        if others:
            logging.getLogger("contemplate").warning(
                "concurrency=%d holds for all workers from now on, as the last one to start says it; others said: %s",
                worker.concurrency,
                "; ".join(f"{each.concurrency} for {each}" for each in others),
            )
        roster.beat(connection, self._site, worker)

    def start(self) -> None:
        """Go on saying so."""
        self._thread.start()

    def now(self) -> None:
        """Say at once what has changed."""
        self._wake.send(b"\0")

    def stop(self) -> None:
        """Say nothing more, and take the worker from the table. Blocks."""
        self._over = True
        self.now()
        if self._thread.is_alive():
            self._thread.join()
        try:
            roster.remove(self._connected(), self._site, self._worker().worker)
        except psycopg.Error as error:
            # Then the others find out by themselves.
            self._outage.failed(error)
        finally:
            self.close()

    def close(self) -> None:
        """Close what is open, also if it was never started."""
        self._close()
        self._wake.close()
        self._woken.close()

    def _beat_on(self) -> None:
        due = monotonic()
        while not self._over:
            told: set[str] = set()
            try:
                connection = self._connected()
                if monotonic() - due > self._interval:
                    # This process stood still: what it saw before says nothing.
                    self._reaper.forget()
                if monotonic() >= due:
                    due = monotonic() + self._interval
                    self._beat(connection)
                told = self._wait(connection, due - monotonic())
                self._look_after(told)
                self._outage.ended()
            except Exception as error:
                # Whatever it is: without a heartbeat all runs would be taken from this worker.
                self._outage.failed(error)
                if not isinstance(error, ClusterError):
                    # That is of the queues' connections. Its own might be had by others, where there are too few.
                    self._close()
                self._reaper.forget()
                self._ready([], min(self._interval, 1.0))
                due = monotonic()

    def _beat(self, connection: Connection[Any]) -> None:
        worker = self._worker()
        if not roster.beat(connection, self._site, worker):
            logging.getLogger("contemplate").warning("worker %s was thought dead, and goes on", worker.worker)
        self._look_after(self._going_on())
        if not worker.draining:
            self._reaper.look(connection)

    def _look_after(self, run_ids: Collection[str]) -> None:
        ours = set(run_ids) & set(self._going_on())
        if not ours:
            return
        me = self._worker().worker
        held = {run.run_id for run in self._queue.runs(sorted(ours)) if run.state == "running" and run.worker == me}
        if ours - held:
            self._end(ours - held)

    def _wait(self, connection: Connection[Any], seconds: float) -> set[str]:
        """Wait for so long, or until something changes, and return the runs that are to be cancelled."""
        self._ready([connection.fileno()], max(seconds, 0.0))
        return {each.payload for each in connection.notifies(timeout=0)}

    def _ready(self, files: list[int], seconds: float) -> None:
        woken = self._woken.fileno()
        ready, _, _ = select.select([*files, woken], [], [], seconds)
        if woken in ready:
            self._woken.recv(1024)

    def _connected(self) -> PostgresConnection:
        if self._connection is None:
            connection = self._site.connect(autocommit=True)
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._site.cancelled)))
            self._connection = connection
        self._connection.until = monotonic() + ANSWER_SECONDS
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
