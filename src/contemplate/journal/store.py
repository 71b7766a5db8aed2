"""What a journal needs of a database: rows in and out, transactions, and who has a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from ..errors import JournalError
from .entries import RunRecord

T = TypeVar("T")
Value = str | float | None
Row = Sequence[Value]

# What is kept beside runs. SQLite makes their tables when they are needed, as older versions know nothing of them.
Tables = Literal["documents", "budgets", "answers", "limits"]


class Rows(Protocol):
    """What a statement found. A row has what SQL says; what may be damaged is checked by whoever reads it."""

    @property
    def rowcount(self) -> int:
        """How many rows it has changed."""
        ...

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row; None after the last one."""
        ...

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""
        ...

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...


class SQLConnection(Protocol):
    """A connection that takes SQL which SQLite and PostgreSQL understand alike, with `?` or `:name` for values."""

    def execute(self, query: str, values: Row | Mapping[str, Value] = (), /) -> Rows:
        """Carry out a statement."""
        ...

    def executemany(self, query: str, rows: Iterable[Row], /) -> object:
        """Carry out a statement for each row."""
        ...


class Store(Protocol):
    """A database as one process uses it. Every method blocks, and may be called in any thread.

    Attributes:
        remote: whether it is reached over a network, so that no event loop may wait for it.
        files: how many databases have had its name: a file may be deleted or replaced while it is used.
        watch: after how many seconds at most is to be looked again who has a run.
        has_status: the condition on rows of `runs` that they have the `:status`.
        glances: a query of what is told of each run at a glance, by name.
        beside_runs: tables that have a row for a run, beside its calls.
        parts_in_use: a query of the digests of all pieces that calls have which were recorded `:after` one.
    """

    remote: bool
    watch: float
    has_status: str
    glances: str
    beside_runs: tuple[str, ...]
    parts_in_use: str

    @property
    def files(self) -> int: ...  # noqa: D102

    def read(self, work: Callable[[SQLConnection], T], patience: float) -> T:
        """Return what `work` reads; it may be done again.

        Raises:
            JournalBusy: the database was not to be had for `patience` seconds.
            JournalError: it cannot be read.
        """
        ...

    def write(
        self, work: Callable[[SQLConnection], T], patience: float, runs: Collection[str] = (), *, once: bool = False
    ) -> T:
        """Return what `work` returns, all that it writes being written, or nothing.

        It may be done again where it is not known whether it was written, unless it must be `once`.

        Args:
            work: what is to be done.
            patience: for how many seconds others are waited for.
            runs: those of which it writes; then it does not look at what its statements return.
            once: whether it makes a difference to do it twice.

        Raises:
            RunTaken: one of the runs is another process's now.
            JournalBusy: the database was not to be had for `patience` seconds.
            JournalError: it cannot be written.
        """
        ...

    def make(self, connection: SQLConnection, tables: Tables) -> None:
        """Make tables that may be missing."""
        ...

    def has(self, connection: SQLConnection, tables: Tables) -> bool:
        """Return whether there are such tables."""
        ...

    def lock(self, connection: SQLConnection, what: str) -> None:
        """Let nobody else have the lock of this name until the transaction ends."""
        ...

    def commit_asynchronously(self, connection: SQLConnection) -> None:
        """Do not wait for the disk when this transaction ends: it does no harm if a power failure undoes it."""
        ...

    def alone(self, connection: SQLConnection, *tables: str) -> None:
        """Let nobody else write to these tables until the transaction ends."""
        ...

    def now(self, connection: SQLConnection) -> float:
        """Return the seconds since 1970, by a clock that is the same for all who use the database."""
        ...

    def note(self, connection: SQLConnection, run_ids: Collection[str], runs: Iterable[RunRecord]) -> None:
        """Write what the database keeps beside rows of these runs, whose records are `runs`, and tell who listens."""
        ...

    def hold(self, run_id: str) -> Callable[[], None]:
        """Take a run, which nobody in this process has, and return what lets it go.

        Raises:
            RunInProgress: somebody has it.
            JournalBusy: whether somebody has it will be known soon.
            JournalError: it cannot be taken.
        """
        ...

    def hold_free(self, run_ids: Collection[str]) -> tuple[list[str], Callable[[], None]]:
        """Take those of the runs, which nobody in this process has, that nobody else has either.

        Return these, and what lets them go.

        Raises:
            JournalBusy: the database is not to be had.
            JournalError: they cannot be taken.
        """
        ...

    def held(self, run_ids: Collection[str]) -> set[str]:
        """Return those of the runs that a process has which is alive, or may be; nobody is disturbed by that.

        Raises:
            JournalError: the journal cannot be read.
        """
        ...

    def surely_held(self, run_id: str) -> bool:
        """Return at once whether nobody else can have a run that this process has taken."""
        ...

    def make_sure(self, run_id: str, patience: float) -> None:
        """Find out whether a run that this process has taken is still its own.

        Raises:
            RunTaken: it is not.
            JournalBusy: the database was not to be had for `patience` seconds.
        """
        ...

    def damaged(self, what: str) -> JournalError:
        """Return the error for what is not as it was written."""
        ...

    def close(self) -> None:
        """Close what is open; it is opened again when it is needed."""
        ...


class Place(Protocol):
    """Where a journal is.

    Attributes:
        name: what users and errors call it; without secrets.
        path: its file; None if it has none.
        key: what is equal for two journals that are the same; None if it is in memory.
    """

    @property
    def name(self) -> str | None: ...  # noqa: D102

    @property
    def path(self) -> Path | None: ...  # noqa: D102

    @property
    def key(self) -> Hashable: ...  # noqa: D102

    def open(self) -> Store:
        """Return its database, for this process."""
        ...
