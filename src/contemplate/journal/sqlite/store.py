"""A journal's SQLite file, or a database in memory, as a journal uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from ...errors import JournalBusy, JournalError, RunInProgress
from ..entries import RunRecord
from ..store import SQLConnection, Tables
from .database import Database
from .run_locks import LockFileGoingError, RunHeldError, is_locked, lock_run

ACTIVE_HINT = "wait until it ends, or stop it"

# What a body says, by the name of what it is at a glance.
_PATHS = {
    "question": "$.question",
    "model": "$.model",
    "status": "$.status",
    "seconds": "$.result.seconds",
    "calls": "$.result.usage.calls",
    "input_tokens": "$.result.usage.input_tokens",
    "output_tokens": "$.result.usage.output_tokens",
    "cost_usd": "$.result.usage.cost_usd",
    "mode": "$.labels.mode",
    "contemplator": "$.labels.contemplator",
    # As the server labels a run that was asked for with a key.
    "client": '$.labels."contemplate:key"',
}
_FIELDS = ", ".join(f"json_extract(body, '{path}') AS {name}" for name, path in _PATHS.items())
# One table of each.
_TABLE = {"documents": "documents", "budgets": "budget_spent", "answers": "answers", "limits": "limit_accounts"}

_READABLE = "CASE WHEN json_valid(body) THEN body ELSE '{}' END"

T = TypeVar("T")


@dataclass(frozen=True)
class SQLiteFile:
    """A journal's file; `path` None is one in memory."""

    path: Path | None

    @property
    def name(self) -> str | None:
        """The file, as users named it."""
        return None if self.path is None else str(self.path)

    @cached_property
    def key(self) -> Hashable:
        """The file itself, whatever links lead to it."""
        return None if self.path is None else self.path.resolve()

    def open(self) -> SQLiteStore:
        """Return its database, which is opened when it is used."""
        return SQLiteStore(self.path)


class SQLiteStore:
    """A file as one process uses it: only one writes to it at a time. See `Store`."""

    remote = False
    watch = 0.01
    has_status = "CASE WHEN json_valid(body) THEN json_extract(body, '$.status') = :status ELSE 0 END"
    glances = f"SELECT run_id, created, {_FIELDS} FROM runs WHERE json_valid(body)"  # noqa: S608
    beside_runs: tuple[str, ...] = ()
    parts_in_use = f"SELECT piece.value FROM calls, json_each({_READABLE}, '$.parts') AS piece WHERE number > :after"  # noqa: S608

    def __init__(self, path: Path | None) -> None:
        self._path = path
        # One file has one name, whatever links lead to it: else a run could be active under two locks.
        self._file = None if path is None else path.resolve()
        self.database = Database(path, self._file)
        # The number of the file that has what a held run wrote; 0 before it did.
        self._held: dict[str, int] = {}

    @property
    def files(self) -> int:
        """How many files have had this name."""
        return self.database.files

    def read(self, work: Callable[[SQLConnection], T], patience: float) -> T:
        """Return what `work` reads."""
        with self.database.connected(patience) as connection:
            return work(connection)

    def write(
        self, work: Callable[[SQLConnection], T], patience: float, runs: Collection[str] = (), *, once: bool = False
    ) -> T:
        """Return what `work` returns, in a transaction beside which there is no other, and which is done once."""
        with self.database.connected(patience) as connection:
            self._check_file(runs)
            with self.database.transaction(connection):
                return work(connection)

    def make(self, connection: SQLConnection, tables: Tables) -> None:
        """Make tables that may be missing."""
        sql = files(__package__).joinpath(f"{tables}.sql").read_text(encoding="utf-8")
        for statement in filter(str.strip, sql.split(";")):
            connection.execute(statement)

    def has(self, connection: SQLConnection, tables: Tables) -> bool:
        """Return whether there are such tables."""
        return (
            connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_TABLE[tables],)).fetchone() is not None
        )

    def lock(self, connection: SQLConnection, what: str) -> None:
        """Do nothing: whoever writes is alone."""

    def commit_asynchronously(self, connection: SQLConnection) -> None:
        """Do nothing: no transaction waits for the disk."""

    def alone(self, connection: SQLConnection, *tables: str) -> None:
        """Do nothing: whoever writes is alone."""

    def now(self, connection: SQLConnection) -> float:
        """Return the time of this machine, the only one that uses the file."""
        return time.time()

    def note(self, connection: SQLConnection, run_ids: Collection[str], runs: Iterable[RunRecord]) -> None:
        """Do nothing: whoever looks reads the bodies, and nobody listens."""

    def hold(self, run_id: str) -> Callable[[], None]:
        """Lock a run against other processes; the lock ends with the process."""
        unlock = self._lock_run(run_id)
        self._held[run_id] = 0

        def let_go() -> None:
            self._held.pop(run_id, None)
            unlock()

        return let_go

    def hold_free(self, run_ids: Collection[str]) -> tuple[list[str], Callable[[], None]]:
        """Lock those of the runs that no other process has."""
        taken: list[str] = []
        with ExitStack() as stack:
            for run_id in run_ids:
                with suppress(RunInProgress):
                    stack.callback(self.hold(run_id))
                    taken.append(run_id)
            return taken, stack.pop_all().close

    def held(self, run_ids: Collection[str]) -> set[str]:
        """Return those of the runs that a process has locked; one in memory is nobody else's."""
        if self._file is None:
            return set(self._held).intersection(run_ids)
        try:
            return {run_id for run_id in run_ids if is_locked(self._file, run_id)}
        except OSError:
            # Of another user's, that cannot be told.
            return set(run_ids)

    def surely_held(self, run_id: str) -> bool:
        """Return True: the system holds the lock as long as the process lives."""
        return True

    def make_sure(self, run_id: str, patience: float) -> None:
        """Do nothing."""

    def damaged(self, what: str) -> JournalError:
        """Return the error for what is not as it was written."""
        return self.database.damaged(what)

    def close(self) -> None:
        """Close the file. A journal in memory is lost."""
        self.database.close()

    def _lock_run(self, run_id: str) -> Callable[[], None]:
        if self._file is None:
            return lambda: None
        try:
            return lock_run(self._file, run_id)
        except RunHeldError as held:
            where = "already active in this process" if held.here else "active in another process"
            raise RunInProgress(f"run {run_id!r} is {where}", hint=ACTIVE_HINT) from None
        except LockFileGoingError as error:
            raise JournalBusy(f"journal {self._path}: another process is removing the file of its locks") from error
        except OSError as error:
            raise JournalError(
                f"journal {self._path}: {error}",
                hint="choose a file in a directory that you may write to, and where files can be locked",
            ) from error

    def _check_file(self, run_ids: Collection[str]) -> None:
        """Raise a JournalError if the file is not the one that has what the runs wrote before."""
        held = [run_id for run_id in run_ids if run_id in self._held]
        for run_id in held:
            if self._held[run_id] not in (0, self.files):
                raise JournalError(
                    f"journal {self._path} was deleted or replaced while run {run_id!r} was active",
                    hint="what the run had recorded is gone with it",
                )
        for run_id in held:
            self._held[run_id] = self.files
