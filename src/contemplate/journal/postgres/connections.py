"""A few connections to a database: lent to one thread each, made anew when they are lost, never waited for for ever."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, tuple_row

from ...errors import JournalBusy, JournalError
from .address import PostgresAddress
from .troubles import hint_for, passes

MOST = 8
# Seconds within which a server answers, or is not there.
LEAST_TO_CONNECT, MOST_TO_CONNECT = 2, 10
KNOWN_TO_BE_AWAY = 5.0

# A partition is noticed within about ten seconds, also by who only waits for an answer.
_NETWORK = {
    "application_name": "contemplate",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
# What the server is told: that nothing is held up by what no longer matters to anybody.
_OPTIONS = "-c statement_timeout=60s -c lock_timeout=20s"
# In heartbeats, but some seconds at least: for how long a transaction may stand still. A process that was stopped in
# the middle of one would else keep others from taking its runs.
STANDS_STILL, LEAST_SECONDS = 2, 5.0
# So that the mark after it is not cut off.
LONGEST_NAME = 48

T = TypeVar("T")


class PostgresConnection(psycopg.Connection[TupleRow]):
    """A connection that nobody waits for longer than until `until`, in seconds of `time.monotonic`.

    Nor for longer than `longest` seconds, whatever is asked of it at once. After that it is closed.
    """

    until = longest = math.inf

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as psycopg does, but no longer than that."""
        now = time.monotonic()
        left = max(0.0, min(self.until - now, self.longest))
        if timeout is not None:
            return super().wait(gen, interval, min(timeout, left))
        try:
            return super().wait(gen, interval, left)
        except psycopg.OperationalError as error:
            if error.sqlstate is None and time.monotonic() >= now + left:
                self.close()
                raise psycopg.OperationalError("the server does not answer") from error
            raise


class Connections:
    """The connections of one process.

    Args:
        address: where to.
        mark: by what the database is to know them, after the name that all have.
    """

    def __init__(self, address: PostgresAddress, mark: str = "") -> None:
        self._address = address
        self._mark = mark
        self._idle: list[PostgresConnection] = []
        self._room = threading.Semaphore(MOST)
        self._close = weakref.finalize(self, _close_all, self._idle, os.getpid())
        # Before the first answer, an error is the user's: another address, another password.
        self._known = False
        self._failed, self._failure = -math.inf, psycopg.Error()

    @contextmanager
    def lent(self, until: float) -> Iterator[PostgresConnection]:
        """Lend a connection.

        Raises:
            JournalBusy: none was to be had until then, or it was lost.
            JournalError: the server refuses it, or what was asked of it.
        """
        if not self._room.acquire(timeout=max(0.0, until - time.monotonic())):
            raise JournalBusy(f"journal {self._address.name}: all connections are in use")
        try:
            with self._errors():
                connection = self._idle.pop() if self._idle else self._connect(until)
                try:
                    connection.until = until
                    yield connection
                finally:
                    self._take_back(connection)
        finally:
            self._room.release()

    def close(self) -> None:
        """Close those that nobody has."""
        _close_all(self._idle, os.getpid())

    def _connect(self, until: float) -> PostgresConnection:
        given = {name: str(value) for name, value in conninfo_to_dict(self._address.conninfo).items()}
        left, since = until - time.monotonic(), time.monotonic() - self._failed
        if left < LEAST_TO_CONNECT and since < KNOWN_TO_BE_AWAY:
            # Who has little time does not spend it on what was not there a moment ago.
            raise type(self._failure)(*self._failure.args)
        seconds = min(max(math.ceil(left), LEAST_TO_CONNECT), MOST_TO_CONNECT)
        own = f"{ends_when_still(self._address)} -c search_path={self._address.schema}"
        options = f"{_OPTIONS} {given.pop('options', '')} {own}"
        settings = {"connect_timeout": str(seconds), **_NETWORK, **given, "options": options, "client_encoding": "UTF8"}
        settings["application_name"] = f"{settings['application_name']:.{LONGEST_NAME}} {self._mark}".rstrip()
        try:
            connection = PostgresConnection.connect(
                make_conninfo("", **settings), autocommit=True, row_factory=tuple_row
            )
        except psycopg.Error as error:
            self._failed, self._failure = time.monotonic(), error
            raise
        self._known, self._failed = True, -math.inf
        return connection

    def _take_back(self, connection: PostgresConnection) -> None:
        connection.until = math.inf
        if not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
            return
        connection.close()
        if connection.broken:
            # As one is lost, all are.
            self.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert PostgreSQL's errors to the journal's."""
        name = self._address.name
        try:
            yield
        except psycopg.Error as error:
            said, hint = " ".join(str(error).split()) or type(error).__name__, hint_for(error)
            if passes(error, known=self._known):
                raise JournalBusy(f"journal {name} cannot be reached: {said}", hint=hint) from error
            raise JournalError(f"journal {name}: {said}", hint=hint) from error


def ends_when_still(address: PostgresAddress) -> str:
    """Return the option of a connection by which the server ends a transaction that stands still."""
    seconds = max(LEAST_SECONDS, STANDS_STILL * address.heartbeat)
    return f"-c idle_in_transaction_session_timeout={math.ceil(1000 * seconds)}ms"


def _close_all(connections: list[PostgresConnection], pid: int) -> None:
    """Close connections, but not in a forked process, whose they are not."""
    while connections:
        connection = connections.pop()
        if pid == os.getpid():
            with suppress(psycopg.Error):
                connection.close()
