"""The runs of workers that have died, given to others. Every worker looks; one at a time acts."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from . import roster
from .engine.run_queue import RunQueue
from .site import Site

# How often in a heartbeat each worker says that it is alive, and looks at the others; and how many looks in a row must
# find one silent. So a worker is dead within one and a quarter heartbeats, after it has missed four times to say so;
# then the journal's lease on its runs takes the better part of another one.
LOOKS = 4
SILENT_LOOKS = 4
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"


class Reaper:
    """One worker's view of the others. Its methods block.

    It counts what it sees, and compares no clocks: so after the database was away, or after this process stood still,
    nobody is dead because of that.

    Attributes:
        given: how many runs it has given back.
    """

    def __init__(self, site: Site, queue: RunQueue) -> None:
        self._site = site
        self._queue = queue
        self.given = 0
        self._beats: Mapping[str, int] = {}
        self._silent: dict[str, int] = {}

    def forget(self) -> None:
        """Forget what was seen: this process, or the database, stood still."""
        self._beats = {}

    def look(self, connection: Connection[Any]) -> list[str]:
        """Look once, give back what workers have that are dead, and return the runs.

        Raises:
            ClusterError: the queues cannot be reached.
            psycopg.Error: the table of workers cannot be.
        """
        # In this order: whoever had a run then was in the table before, and is there now if he is not dead.
        holders = self._queue.holders()
        beats = roster.beats(connection, self._site)
        before = self._beats
        self._silent = {
            worker: self._silent[worker] + 1 if before.get(worker) == said else 0 for worker, said in beats.items()
        }
        self._beats = beats
        silent = {worker: beats[worker] for worker, looks in self._silent.items() if looks >= SILENT_LOOKS}
        if not silent and holders <= beats.keys():
            return []
        # In a transaction, as its locks are those of nobody who stands still.
        with connection.transaction():
            if not self._locked(connection):
                return []
            gone = {worker for worker, said in silent.items() if roster.remove(connection, self._site, worker, said)}
            return self._give_back((holders & gone) | (holders - beats.keys()))

    def _give_back(self, dead: set[str]) -> list[str]:
        by_mind: defaultdict[str, list[str]] = defaultdict(list)
        for run in self._queue.runs_of(dead) if dead else ():
            by_mind[run.mind].append(run.run_id)
        for mind, runs in by_mind.items():
            self._queue.give_back(runs, mind)
        given = [run for runs in by_mind.values() for run in runs]
        self.given += len(given)
        if given:
            logging.getLogger("contemplate").warning(
                "%d runs of workers that have died are given to others: %s", len(given), ", ".join(sorted(dead))
            )
        return given

    def _locked(self, connection: Connection[Any]) -> bool:
        row = connection.execute(_LOCK, (f"{self._site.schema}/reaping",)).fetchone()
        return row is not None and bool(row[0])
