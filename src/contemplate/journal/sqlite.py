"""The store of runs and their calls, in SQLite."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from ..arguments import checked_arguments
from ..data import Data
from ..decisions import PendingCall
from ..errors import ConfigurationError, JournalBusy, JournalError, RunInProgress, error_info
from .database import Database
from .entries import Entry, RunRecord, Status, digest_of
from .group_commit import GroupCommit, Write
from .patience import PATIENCE
from .run_locks import LockFileGoingError, RunHeldError, lock_run

# What journals are called where they are given by name, and databases in memory by SQLite.
NAMES = ("memory:", ":memory:", "sqlite:", "file:")
PATH_HINT = 'a path, such as "runs.db"; Journal() is one in memory'
ACTIVE_HINT = "wait until it ends, or stop it"

DataT = TypeVar("DataT", bound=Data)


class Journal:
    """A store of runs and their calls, with a short transaction for each call, or for several that end together.

    Every method blocks. A recorded call survives the death of the process, though perhaps not a power failure in the
    second after it (SQLite in WAL mode, `synchronous=NORMAL`). Other files, newer versions and damaged journals are
    never written to. May be used from several threads.

    Args:
        path: the file, created on first use; None keeps everything in memory.

    Raises:
        ConfigurationError: the path is the name of a journal, such as "sqlite:///runs.db".
    """

    def __init__(self, path: str | Path | None = None) -> None:
        if str(path).startswith(NAMES):
            # It would be a file of that name, in the folder where one happens to be.
            raise ConfigurationError(f"journal {str(path)!r} is not the path of a file", hint=PATH_HINT)
        self.path = None if path is None else Path(path)
        # One file has one name, whatever links lead to it: else a run could be active under two locks.
        self._file = None if path is None else Path(path).resolve()
        # What is open in a process is nothing to those that are forked from it.
        self._databases: dict[int, Database] = {}
        self._active: dict[tuple[int, str], _Active] = {}
        self.together = GroupCommit(lambda writes, patience: self.write(writes, patience))

    def __repr__(self) -> str:
        return f"Journal({str(self.path) if self.path else None!r})"

    # Reading

    @checked_arguments
    def runs(self, limit: int | None = None, *, status: Status | None = None) -> list[RunRecord]:
        """Return the runs, the newest first, without images, histories and results; at most `limit` of them.

        A record that is damaged costs no other: of it there is its name, its status "damaged", and its error.

        Args:
            limit: how many at most; None for all.
            status: only those of that status, such as "suspended", which is quick where most have another.

        Raises:
            JournalError: the file cannot be read.
        """
        # Whether a record can be read shows only when it is: what is found by its status may be damaged.
        has_status = "CASE WHEN json_valid(body) THEN json_extract(body, '$.status') = :status ELSE 0 END"
        query = (
            "SELECT run_id, created, body, checksum FROM runs "  # noqa: S608
            f"WHERE :status IS NULL OR :status = 'damaged' OR {has_status} ORDER BY created DESC, run_id LIMIT :most"
        )
        most = limit if limit is not None and status is None else -1
        with self._reading() as connection:
            rows = connection.execute(query, {"status": status, "most": most}).fetchall()
        listed = (self._listed(*row) for row in rows)
        return list(islice((run for run in listed if status in (None, run.status)), limit))

    def run_ids(self, beginning: str = "", limit: int | None = None) -> list[str]:
        """Return the ids of the runs that begin so, the newest first; at most `limit` of them.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT run_id FROM runs WHERE substr(run_id, 1, ?) = ? ORDER BY created DESC, run_id LIMIT ?"
        with self._reading() as connection:
            rows = connection.execute(query, (len(beginning), beginning, -1 if limit is None else limit)).fetchall()
        return [run_id for (run_id,) in rows]

    def load(self, run_id: str, *, patience: float = PATIENCE) -> RunRecord | None:
        """Return the run `run_id`; None if there is none.

        Raises:
            JournalBusy: others kept the file to themselves for `patience` seconds.
            JournalError: the file cannot be read.
        """
        with self._reading(patience) as connection:
            row = connection.execute("SELECT body, checksum FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return None if row is None else self._checked(RunRecord, f"the record of run {run_id!r}", *row)

    def pending(self, run_id: str) -> tuple[PendingCall, ...]:
        """Return the tool calls for whose decision the run waits; none if there is no such run, or it does not wait.

        Raises:
            JournalError: the file cannot be read.
        """
        run = self.load(run_id)
        return () if run is None or run.result is None or run.status != "suspended" else run.result.pending

    def entries(self, run_id: str, *, patience: float = PATIENCE) -> list[Entry]:
        """Return a run's calls, in the order in which they ended.

        Raises:
            JournalBusy: others kept the file to themselves for `patience` seconds.
            JournalError: the file cannot be read.
        """
        query = "SELECT body, checksum FROM calls WHERE run_id = ? ORDER BY number"
        with self._reading(patience) as connection:
            rows = connection.execute(query, (run_id,)).fetchall()
        return [self._checked(Entry, f"a call of run {run_id!r}", *row) for row in rows]

    def parts(self, digests: Iterable[str]) -> list[str]:
        """Return the pieces of a request that have these digests, as JSON, in this order.

        Raises:
            JournalError: the file cannot be read, or one is missing.
        """
        found: list[str] = []
        with self._reading() as connection:
            for digest in digests:
                row = connection.execute("SELECT body FROM parts WHERE digest = ?", (digest,)).fetchone()
                if row is None or not isinstance(row[0], str) or digest_of(row[0]) != digest:
                    raise self._database.damaged(f"the text {digest} is {'missing' if row is None else 'altered'}")
                found.append(row[0])
        return found

    # Writing

    def save(self, run: RunRecord, *, patience: float = PATIENCE) -> None:
        """Store `run`, replacing its earlier record.

        Raises:
            JournalBusy: others kept writing for `patience` seconds.
            JournalError: it cannot be written, or the file with what the run wrote before is gone.
        """
        self.write([Write(run.run_id, run=run)], patience)

    def append(
        self, run_id: str, entries: Sequence[Entry], parts: Mapping[str, str], *, patience: float = PATIENCE
    ) -> None:
        """Store calls; each replaces an equal one that had not been answered.

        Raises:
            JournalBusy: others kept writing for `patience` seconds.
            JournalError: they cannot be written, or the file with what the run wrote before is gone.
        """
        self.write([Write(run_id, entries, parts)], patience)

    def write(self, writes: Sequence[Write], patience: float = PATIENCE) -> None:
        """Store what is written of several runs in one transaction: all of it, or nothing.

        Raises:
            JournalBusy: others kept writing for `patience` seconds.
            JournalError: it cannot be written, or the file with what one of the runs wrote before is gone.
        """
        parts = [part for write in writes for part in write.parts.items()]
        calls = [_call_row(write.run_id, entry) for write in writes for entry in write.entries]
        runs = [_run_row(write.run) for write in writes if write.run is not None]
        with self._writing({write.run_id for write in writes}, patience) as connection:
            connection.executemany("INSERT OR IGNORE INTO parts VALUES (?, ?)", parts)
            connection.executemany("REPLACE INTO calls (run_id, slot, body, checksum) VALUES (?, ?, ?, ?)", calls)
            connection.executemany(
                "INSERT INTO runs VALUES (?, ?, ?, ?) "
                "ON CONFLICT (run_id) DO UPDATE SET body = excluded.body, checksum = excluded.checksum",
                runs,
            )

    @contextmanager
    def hold(self, run_id: str) -> Iterator[None]:
        """Lock a run against other threads and processes; the lock ends with the process.

        Raises:
            RunInProgress: the run is locked already.
            JournalBusy: another process takes its time to remove the file of the locks.
            JournalError: the lock cannot be written.
        """
        key, active = (os.getpid(), run_id), _Active()
        # In one step: whoever comes at the same time finds it.
        if self._active.setdefault(key, active) is not active:
            raise RunInProgress(f"run {run_id!r} is already active in this process", hint=ACTIVE_HINT)
        try:
            unlock = self._lock_run(run_id)
            try:
                yield
            finally:
                unlock()
        finally:
            del self._active[key]

    def close(self) -> None:
        """Close the file, which is reopened when needed. A journal in memory is lost."""
        self._database.close()

    # SQLite

    @property
    def _database(self) -> Database:
        # One in memory is copied with the process, but a connection to a file must not be used by both.
        process = 0 if self._file is None else os.getpid()
        if process not in self._databases:
            self._databases.setdefault(process, Database(self.path, self._file))
        return self._databases[process]

    def _lock_run(self, run_id: str) -> Callable[[], None]:
        if self._file is None:
            return lambda: None
        try:
            return lock_run(self._file, run_id)
        except RunHeldError as held:
            where = "already active in this process" if held.here else "active in another process"
            raise RunInProgress(f"run {run_id!r} is {where}", hint=ACTIVE_HINT) from None
        except LockFileGoingError as error:
            raise JournalBusy(f"journal {self.path}: another process is removing the file of its locks") from error
        except OSError as error:
            raise JournalError(
                f"journal {self.path}: {error}",
                hint="choose a file in a directory that you may write to, and where files can be locked",
            ) from error

    @contextmanager
    def _reading(self, patience: float = PATIENCE) -> Iterator[Connection]:
        with self._database.connected(patience) as connection:
            yield connection

    @contextmanager
    def _writing(self, run_ids: Iterable[str], patience: float) -> Iterator[Connection]:
        with self._database.connected(patience) as connection:
            self._check_file(run_ids)
            with self._database.transaction(connection):
                yield connection

    def _check_file(self, run_ids: Iterable[str]) -> None:
        """Raise a JournalError if the file is not the one that has what the runs wrote before."""
        files, process = self._database.files, os.getpid()
        found = [(run_id, self._active.get((process, run_id))) for run_id in run_ids]
        for run_id, active in found:
            if active is not None and active.file not in (0, files):
                raise JournalError(
                    f"journal {self.path} was deleted or replaced while run {run_id!r} was active",
                    hint="what the run had recorded is gone with it",
                )
        for _, active in found:
            if active is not None:
                active.file = files

    def _listed(self, run_id: str, created: float, body: str, checksum: int) -> RunRecord:
        try:
            self._check(f"the record of run {run_id!r}", body, checksum)
            # Results are left out before they are validated, which would take longer than all else.
            fields = from_json(body)
            return RunRecord.model_validate({**fields, "result": None, "images": (), "history": ()})
        except (JournalError, ValueError) as error:
            return RunRecord(
                run_id=str(run_id),
                question="",
                model="",
                status="damaged",
                created=created if isinstance(created, float) else 0.0,
                error=error_info(error),
            )

    def _checked(self, kind: type[DataT], what: str, body: object, checksum: object) -> DataT:
        text = self._check(what, body, checksum)
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            raise self._database.damaged(f"{what} cannot be understood") from error

    def _check(self, what: str, body: object, checksum: object) -> str:
        if not isinstance(body, str) or checksum_of(body) != checksum:
            raise self._database.damaged(f"the checksum of {what} is wrong")
        return body


class _Active:
    """A run that is active.

    Attributes:
        file: the number of the file that has what it wrote; 0 before it did.
    """

    file = 0


def _call_row(run_id: str, entry: Entry) -> tuple[str, str, str, int]:
    body = entry.model_dump_json()
    return run_id, entry.slot, body, checksum_of(body)


def _run_row(run: RunRecord) -> tuple[str, float, str, int]:
    body = run.model_dump_json(exclude={"result": {"tasks": {"__all__": {"messages"}}}})
    return run.run_id, run.created, body, checksum_of(body)


def checksum_of(body: str) -> int:
    """Return what is stored beside a text, to tell whether it is whole."""
    return zlib.crc32(body.encode(errors="surrogatepass"))
