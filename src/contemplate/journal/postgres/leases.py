"""Which process has a run: a row in the database, and a process that says from time to time that it lives.

A process that has not done so for a while is suspected by whoever wants one of its runs. If it stays silent although
the database is watched all the while, its runs may be taken. So a database that was away, or stood still, costs no
process its runs: each that lives says so as soon as it is back. All times are those of the database.

Whoever takes a run gets a higher generation, which is checked in each transaction that writes of the run: what another
one wrote would not count. Who could not say in time that he lives makes sure that his run is still his before he makes
a call (`fresh`, by a clock of his own that also goes while he is stopped).
(Kleppmann, "How to do distributed locking", 2016; Gray and Cheriton, "Leases", SOSP 1989.)
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import uuid4

import psycopg

from ...boot_clock import boot_clock
from ...errors import JournalBusy, JournalError, RunInProgress, RunTaken
from .address import LONGEST_HEARTBEAT, PostgresAddress
from .connections import PostgresConnection
from .heartbeat import RenewalThread

# In heartbeats: when a process is suspected, when its runs may be taken after that, and for how long it may itself be
# sure of them after it last said that it lives.
SUSPECTED, OVER, SURE = 1.2, 0.8, 1.5
# For how many seconds taking a run may take, and giving it back.
PATIENCE, LAST_WAIT = 5.0, 1.0
# For how many seconds a process must not have been heard of to be forgotten with its leases; and how long before that
# this was seen, as the database may have been away as long: then all who live say so within a heartbeat.
KEPT, SEEN = 86_400.0, 2 * LONGEST_HEARTBEAT
UNWATCHED = 1.0
MARK = 12
# The state in SQL of a transaction that wrote of a run which others have taken.
TAKEN = "CT001"

_NOW = "extract(epoch FROM clock_timestamp())::float8"
_LIVES = f"""
    INSERT INTO holders (holder, host, pid, heartbeat, renewed) VALUES (%s, %s, %s, %s, {_NOW})
    ON CONFLICT (holder) DO UPDATE SET renewed = excluded.renewed, suspected = NULL, watched = NULL
"""  # noqa: S608
_FREE = "INSERT INTO leases (run_id, holder, generation) VALUES (%s, %s, nextval('generations')) ON CONFLICT DO NOTHING"
_WHOSE = "SELECT holder FROM leases WHERE run_id = %s"
_STILL_HIS = f"{_WHOSE} AND holder = %s FOR UPDATE"
_TAKE = "UPDATE leases SET holder = %s, generation = nextval('generations') WHERE run_id = %s RETURNING generation"
# In one order for all: else two processes might wait for each other.
_ALL_FREE = """
    INSERT INTO leases (run_id, holder, generation)
    SELECT run, %s, nextval('generations') FROM unnest(%s::text[]) AS run ORDER BY run
    ON CONFLICT DO NOTHING RETURNING run_id, generation
"""
_GIVE = """
    DELETE FROM leases
    WHERE (run_id, generation) IN (SELECT * FROM unnest(%s::text[], %s::bigint[])) AND holder = %s
"""
# A suspicion that nobody has watched for a heartbeat begins anew; of short ones, some may be late.
_SUSPECT = f"""
    UPDATE holders SET
        suspected = CASE WHEN watched > {_NOW} - greatest(heartbeat, {UNWATCHED}) THEN suspected ELSE {_NOW} END,
        watched = {_NOW}
    WHERE holder = %s AND renewed < {_NOW} - {SUSPECTED} * heartbeat
"""  # noqa: S608
_LIFE = f"""
    SELECT
        host, pid, heartbeat, {_NOW} - renewed,
        coalesce({_NOW} - suspected, 0) >= {OVER} * heartbeat, suspected IS NOT NULL
    FROM holders WHERE holder = %s FOR UPDATE
"""  # noqa: S608
# One that was stopped, or whose machine is gone, may have locked its runs, and nothing else ends that for hours.
_HANG_UP = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name LIKE '%% ' || %s
"""
_HELD = f"""
    SELECT run_id FROM leases JOIN holders USING (holder)
    WHERE run_id = ANY (%s) AND renewed >= {_NOW} - {SUSPECTED + OVER} * heartbeat
"""  # noqa: S608
_ALL_MINE = "SELECT run_id, generation FROM leases WHERE holder = %s"
_CHECK = "SELECT check_held(%s::text[], %s::bigint[], %s)"
_GONE = f"UPDATE holders SET suspected = {_NOW} WHERE renewed < {_NOW} - {KEPT} AND suspected IS NULL"  # noqa: S608
_FORGOTTEN = f"""
    WITH gone AS (
        DELETE FROM holders WHERE renewed < {_NOW} - {KEPT} AND suspected < {_NOW} - {SEEN} RETURNING holder
    )
    DELETE FROM leases USING gone WHERE leases.holder = gone.holder
"""  # noqa: S608

T = TypeVar("T")


class Transact(Protocol):
    """Does work in a transaction of its own."""

    def __call__(self, work: Callable[[PostgresConnection], T], patience: float, /, *, once: bool = False) -> T: ...  # noqa: D102


class _Refused(NamedTuple):
    """Who has a run, and whether he is suspected."""

    host: str
    pid: int
    heartbeat: float
    silent: float
    suspected: bool


class Leases:
    """The runs of one process.

    Args:
        address: that of the journal.
        transact: does work in a transaction of its own, within so many seconds.
    """

    def __init__(self, address: PostgresAddress, transact: Transact) -> None:
        self.holder = uuid4().hex
        self._address = address
        self._transact = transact
        self._lock = threading.Lock()
        # The generation of each run; of those that were lost, it is kept until they end.
        self._held: dict[str, int] = {}
        self._lost: set[str] = set()
        self._given_back: dict[str, int] = {}
        self._renewed = -float("inf")
        self._thread = RenewalThread(self._beat, address.heartbeat)

    def hold(self, run_id: str) -> Callable[[], None]:
        """Take the lease of a run, and return what gives it back.

        Raises:
            RunInProgress: another process has it, and lives.
            JournalBusy: another one has it, and will be known to live or not; or the database is not to be had.
            JournalError: it cannot be taken.
        """
        self._stay()
        taken = self._transact(lambda connection: self._take(connection, run_id), PATIENCE)
        if isinstance(taken, _Refused):
            who = f"process {taken.pid} on {taken.host}"
            if taken.suspected:
                raise JournalBusy(f"run {run_id!r} is that of {who}, not heard of for {taken.silent:.1f} s")
            after = (SUSPECTED + OVER) * taken.heartbeat
            raise RunInProgress(
                f"run {run_id!r} is active: {who}, heard of {taken.silent:.1f} s ago",
                hint=f"wait until it ends, or stop it; if it has died, its runs can be taken {after:.0f} s after that",
            )
        return self._having({run_id: taken})

    def hold_free(self, run_ids: Collection[str]) -> tuple[list[str], Callable[[], None]]:
        """Take the leases of those of the runs that nobody has, and return these, and what gives them back.

        Raises:
            JournalBusy: the database is not to be had.
            JournalError: they cannot be taken.
        """
        self._stay()
        query, values = _ALL_FREE, (self.holder, list(run_ids))
        rows = self._transact(lambda connection: connection.execute(query, values).fetchall(), PATIENCE)
        taken: dict[str, int] = dict(rows)
        return list(taken), self._having(taken)

    def held(self, run_ids: Collection[str]) -> set[str]:
        """Return those of the runs whose process was heard of lately, by what is known: nobody is suspected by this.

        Raises:
            JournalError: the database is not to be had.
        """
        rows = self._transact(lambda connection: connection.execute(_HELD, (list(run_ids),)).fetchall(), PATIENCE)
        return {run_id for (run_id,) in rows}

    def fresh(self, run_id: str) -> bool:
        """Return whether a run, if it was taken here, is surely still this process's."""
        if run_id not in self._held:
            return True
        return run_id not in self._lost and boot_clock() - self._renewed < SURE * self._address.heartbeat

    def make_sure(self, run_id: str, patience: float) -> None:
        """Say that this process lives, and find out whether the run is still its own.

        Raises:
            RunTaken: it is not.
            JournalBusy: the database is not to be had.
        """
        if not self.fresh(run_id):
            if run_id not in self._lost:
                self._renew(patience)
            if run_id in self._lost:
                raise self._taken(run_id)

    def check(self, connection: PostgresConnection, run_ids: Collection[str]) -> None:
        """Keep others from taking runs that were taken here until the transaction ends.

        If somebody has, the transaction fails, with an error that `lost_by` knows.
        """
        held = {run_id: self._held[run_id] for run_id in run_ids if run_id in self._held}
        if held:
            connection.execute(_CHECK, (list(held), list(held.values()), self.holder))

    def lost_by(self, error: psycopg.Error) -> RunTaken | None:
        """Return the error for runs that others have taken, if it is that by which a transaction failed."""
        if error.sqlstate != TAKEN:
            return None
        lost: list[str] = json.loads(error.diag.message_detail or "[]")
        with self._lock:
            self._lost |= {run_id for run_id in lost if run_id in self._held}
        return self._taken(min(lost, default=""))

    def _stay(self) -> None:
        """Say that this process lives, if it has not lately: who has runs has said so before."""
        if boot_clock() - self._renewed > self._address.heartbeat:
            self._renew(PATIENCE)

    def _having(self, taken: dict[str, int]) -> Callable[[], None]:
        with self._lock:
            self._held.update(taken)
            self._lost -= taken.keys()
            for run_id in taken:
                self._given_back.pop(run_id, None)
        self._thread.go_on()
        return lambda: self._give_back(taken)

    def _take(self, connection: PostgresConnection, run_id: str) -> int | _Refused:
        connection.execute(_FREE, (run_id, self.holder))
        holder, *_ = connection.execute(_WHOSE, (run_id,)).fetchone() or ("",)
        if holder and holder != self.holder:
            connection.execute(_SUSPECT, (holder,))
            life = connection.execute(_LIFE, (holder,)).fetchone()
            if life is not None and not life[4]:
                host, pid, heartbeat, silent, _, suspected = life
                return _Refused(host, pid, heartbeat, silent, suspected)
            connection.execute(_HANG_UP, (mark_of(holder),))
        if connection.execute(_STILL_HIS, (run_id, holder)).fetchone() is None:
            raise JournalBusy(f"run {run_id!r} was just given back, or taken")
        taken = connection.execute(_TAKE, (self.holder, run_id)).fetchone()
        assert taken is not None  # noqa: S101
        return int(taken[0])

    def _give_back(self, given: dict[str, int]) -> None:
        with self._lock:
            for run_id in given:
                self._held.pop(run_id, None)
            self._lost -= given.keys()
            self._given_back.update(given)
        try:
            self._transact(lambda connection: self._give(connection, given), LAST_WAIT)
        except JournalError:
            # With the next heartbeat; or never, and then others find it over.
            return
        self._are_given(given)

    def _give(self, connection: PostgresConnection, given: dict[str, int]) -> None:
        connection.execute(_GIVE, (list(given), list(given.values()), self.holder))

    def _are_given(self, given: dict[str, int]) -> None:
        with self._lock:
            for run_id, generation in given.items():
                if self._given_back.get(run_id) == generation:
                    del self._given_back[run_id]

    def _beat(self) -> bool:
        """Say that this process lives; return whether it has still something to say."""
        try:
            self._renew(self._address.heartbeat)
            with self._lock:
                given = dict(self._given_back)
            self._transact(lambda connection: self._clear(connection, given), self._address.heartbeat)
            self._are_given(given)
        except JournalError:
            pass
        return bool(self._held or self._given_back)

    def close(self) -> None:
        """Forget what could not be given back: others find it over."""
        with self._lock:
            self._given_back.clear()

    def _clear(self, connection: PostgresConnection, given: dict[str, int]) -> None:
        self._give(connection, given)
        connection.execute(_GONE)
        connection.execute(_FORGOTTEN)

    def _renew(self, patience: float) -> None:
        began = boot_clock()
        with self._lock:
            held = dict(self._held)

        def renew(connection: PostgresConnection) -> set[tuple[Any, ...]]:
            connection.execute(_LIVES, self._life())
            # After that: nobody takes them any more.
            return set(connection.execute(_ALL_MINE, (self.holder,)))

        found = self._transact(renew, patience)
        self._lose(dict(held.items() - found))
        self._renewed = max(self._renewed, began)

    def _lose(self, runs: dict[str, int]) -> None:
        with self._lock:
            self._lost |= {run_id for run_id, generation in runs.items() if self._held.get(run_id) == generation}

    def _life(self) -> tuple[str, str, int, float]:
        return self.holder, socket.gethostname(), os.getpid(), self._address.heartbeat

    def _taken(self, run_id: str) -> RunTaken:
        return RunTaken(
            f"run {run_id!r} was taken by another process, as this one had not been heard of",
            hint="it goes on there; nothing more is called or written here",
        )


def mark_of(holder: str) -> str:
    """Return by what the connections of a process are known in the database."""
    return holder[:MARK]
