"""A database as a journal uses it: each transaction in one thread, tried again where the connection is lost."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from typing import TypeVar

import psycopg

from ...errors import JournalBusy, JournalError
from ..entries import RunRecord
from ..store import Row, Rows, SQLConnection, Tables, Value
from .address import PostgresAddress
from .connections import Connections, PostgresConnection
from .leases import Leases, mark_of
from .schema import prepare

# Seconds after which it is tried again, which grow.
PAUSE, LONGEST_PAUSE = 0.02, 0.5
# How long it is at least asked whether what may have been written was.
TO_KNOW = 5.0
# Notifications carry 8,000 bytes.
LONGEST_NOTE = 7000

_VALUE = re.compile(r"\?|(?<!:):(\w+)")
_GLANCE = (
    *("run_id", "created", "question", "model", "status", "seconds", "calls", "input_tokens", "output_tokens"),
    *("cost_usd", "mode", "contemplator", "client"),
)

T = TypeVar("T")


class PostgresStore:
    """A database as one process uses it. See `Store`."""

    remote = True
    files = 1
    has_status = "run_id IN (SELECT run_id FROM glances WHERE status = :status)"
    glances = "SELECT * FROM glances"
    beside_runs: tuple[str, ...] = ("glances",)
    parts_in_use = "SELECT json_array_elements_text(body::json -> 'parts') FROM calls WHERE number > :after"

    def __init__(self, address: PostgresAddress) -> None:
        # Often enough that no suspicion begins anew.
        self.watch = address.heartbeat / 4
        self._address = address
        self._prepared = False
        self.leases = Leases(address, self.transact)
        self._connections = Connections(address, mark_of(self.leases.holder))

    def read(self, work: Callable[[SQLConnection], T], patience: float) -> T:
        """Return what `work` reads."""
        return self._tried(lambda connection: work(_Translated(connection)), time.monotonic() + patience)

    def write(
        self, work: Callable[[SQLConnection], T], patience: float, runs: Collection[str] = (), *, once: bool = False
    ) -> T:
        """Return what `work` returns, in a transaction in which the `runs` are this process's."""

        def fenced(connection: PostgresConnection) -> T:
            self.leases.check(connection, runs)
            return work(_Translated(connection))

        try:
            return self.transact(fenced, patience, once=once, together=bool(runs))
        except JournalError as error:
            taken = self.leases.lost_by(error.__cause__) if isinstance(error.__cause__, psycopg.Error) else None
            if taken is None:
                raise
            raise taken from None

    def transact(
        self, work: Callable[[PostgresConnection], T], patience: float, *, once: bool = False, together: bool = False
    ) -> T:
        """Return what `work` returns, in a transaction. See `Store.write`.

        With `together`, its statements are sent together: one journey to the server, and not one for each.
        """
        until = time.monotonic() + patience
        return self._tried(partial(self._transaction, work, once, together, until), until)

    def make(self, connection: SQLConnection, tables: Tables) -> None:
        """Do nothing: they are there."""

    def has(self, connection: SQLConnection, tables: Tables) -> bool:
        """Return True."""
        return True

    def lock(self, connection: SQLConnection, what: str) -> None:
        """Let nobody else have the lock of this name until the transaction ends."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"{self._address.schema}/{what}",))

    def commit_asynchronously(self, connection: SQLConnection) -> None:
        """Do not wait for the disk when this transaction ends."""
        connection.execute("SET LOCAL synchronous_commit TO off")

    def alone(self, connection: SQLConnection, *tables: str) -> None:
        """Let nobody else write to these tables until the transaction ends."""
        connection.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")

    def now(self, connection: SQLConnection) -> float:
        """Return the server's time."""
        found = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert found is not None  # noqa: S101
        return float(found[0])

    def note(self, connection: SQLConnection, run_ids: Collection[str], runs: Iterable[RunRecord]) -> None:
        """Keep what is told of runs at a glance, and notify those who listen to the journal's channel."""
        columns = ", ".join(_GLANCE)
        changed = ", ".join(f"{name} = excluded.{name}" for name in _GLANCE[2:])
        connection.executemany(
            f"INSERT INTO glances ({columns}) VALUES ({', '.join('?' * len(_GLANCE))}) "  # noqa: S608
            f"ON CONFLICT (run_id) DO UPDATE SET {changed}",
            [_glance(run) for run in runs],
        )
        # Whoever is told of no run looks at all of them.
        told = {run_id if len(run_id.encode()) <= LONGEST_NOTE else "" for run_id in run_ids}
        connection.execute(
            "SELECT pg_notify(?, run_id) FROM json_array_elements_text(?::json) AS told (run_id)",
            (channel_of(self._address.schema), json.dumps(sorted(told))),
        )

    def hold(self, run_id: str) -> Callable[[], None]:
        """Take the lease of a run, and return what gives it back."""
        return self.leases.hold(run_id)

    def hold_free(self, run_ids: Collection[str]) -> tuple[list[str], Callable[[], None]]:
        """Take the leases of those of the runs that nobody has."""
        return self.leases.hold_free(run_ids)

    def held(self, run_ids: Collection[str]) -> set[str]:
        """Return those of the runs whose process was heard of lately."""
        return self.leases.held(run_ids)

    def surely_held(self, run_id: str) -> bool:
        """Return whether the lease of a run was renewed lately."""
        return self.leases.fresh(run_id)

    def make_sure(self, run_id: str, patience: float) -> None:
        """Renew the lease of a run."""
        self.leases.make_sure(run_id, patience)

    def damaged(self, what: str) -> JournalError:
        """Return the error for what is not as it was written."""
        return JournalError(f"journal {self._address.name} is damaged: {what}", hint="nothing was written to it")

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self.leases.close()
        self._connections.close()

    def _tried(self, work: Callable[[PostgresConnection], T], until: float) -> T:
        """Return what `work` returns, and try it again until then where the connection is lost."""
        pause = PAUSE
        while True:
            try:
                with self._connections.lent(until) as connection:
                    self._prepare(connection)
                    return work(connection)
            except JournalBusy:
                if time.monotonic() + pause >= until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _transaction(
        self,
        work: Callable[[PostgresConnection], T],
        once: bool,
        together: bool,
        until: float,
        connection: PostgresConnection,
    ) -> T:
        number: str | None = None
        ending = False
        try:
            with _sent_together(connection) if together else nullcontext():
                connection.execute("BEGIN")
                number = _transaction_number(connection) if once else None
                done = work(connection)
                ending = True
                connection.execute("COMMIT")
        except BaseException as error:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            lost = ending and number is not None and isinstance(error, psycopg.OperationalError)
            if not lost or not self._was_committed(number or "", max(until, time.monotonic() + TO_KNOW)):
                raise
        return done

    def _was_committed(self, number: str, until: float) -> bool:
        """Return whether a transaction was committed whose end nobody told."""
        query = "SELECT pg_xact_status(%s::xid8)"
        while True:
            found = self._tried(lambda connection: connection.execute(query, (number,)).fetchone(), until)
            if found is None or found[0] != "in progress":
                return found is not None and found[0] == "committed"
            if time.monotonic() >= until:
                raise JournalBusy(f"journal {self._address.name} does not say whether it was written")
            time.sleep(PAUSE)

    def _prepare(self, connection: PostgresConnection) -> None:
        if not self._prepared:
            prepare(connection, self._address)
            self._prepared = True


@contextmanager
def _sent_together(connection: PostgresConnection) -> Iterator[None]:
    """Send the statements of the block together, and raise the first error, of which the others come."""
    first: Exception | None = None
    try:
        with connection.pipeline():
            try:
                yield
            except Exception as error:
                # psycopg would log what else fails while it ends.
                first = error
    except psycopg.Error as error:
        raise (first or error) from None
    if first is not None:
        raise first


def channel_of(schema: str) -> str:
    """Return the channel on which is told which runs have changed."""
    return f"contemplate_{schema}"


class _Translated:
    """A connection that takes SQL as SQLite does."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection

    def execute(self, query: str, values: Row | Mapping[str, Value] = (), /) -> Rows:
        return self._connection.execute(_translated(query), values)

    def executemany(self, query: str, rows: Iterable[Row], /) -> None:
        rows = list(rows)
        if rows:
            with self._connection.cursor() as cursor:
                cursor.executemany(_translated(query), rows)


@lru_cache(maxsize=256)
def _translated(query: str) -> bytes:
    return _VALUE.sub(lambda found: f"%({found[1]})s" if found[1] else "%s", query.replace("%", "%%")).encode()


def _transaction_number(connection: PostgresConnection) -> str:
    found = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert found is not None  # noqa: S101
    return str(found[0])


def _glance(run: RunRecord) -> Row:
    result, labels = run.result, ("mode", "contemplator", "contemplate:key")
    usage = None if result is None else result.usage
    row: Row = (
        *(run.run_id, run.created, run.question, run.model, run.status),
        None if result is None else result.seconds,
        *((None,) * 4 if usage is None else (usage.calls, usage.input_tokens, usage.output_tokens, usage.cost_usd)),
        *(None if (said := run.labels.get(name)) is None else str(said) for name in labels),
    )
    # PostgreSQL has no text with a zero in it.
    return tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row)
