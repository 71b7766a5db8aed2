"""The journal in SQLite: in a file that many processes may share, or in memory."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from ..arguments import checked_arguments
from ..data import Data
from ..decisions import PendingCall
from ..errors import ConfigurationError, JournalBusy, JournalError, RunInProgress, error_info
from .entries import Entry, RunRecord, Status, digest_of
from .group_commit import GroupCommit, Write
from .run_locks import PRIVATE, RunHeldError, lock_run

# "ctmp": identifies a journal among SQLite files.
APPLICATION_ID = 0x63746D70
SCHEMA_VERSION = 1
QUICK = 0.02
PATIENCE = 30.0
PAUSE = 0.01
OTHERS = 0o077
# What journals are called where they are given by name, and databases in memory by SQLite.
NAMES = ("memory:", ":memory:", "sqlite:", "file:")
PATH_HINT = 'a path, such as "runs.db"; Journal() is one in memory'
ACTIVE_HINT = "wait until it ends, or stop it"

DataT = TypeVar("DataT", bound=Data)


class Journal:
    """A store of runs and their calls, with one short transaction for each call. Every method blocks.

    A recorded call survives the death of the process, though perhaps not a power failure in the second after it (SQLite
    in WAL mode, `synchronous=NORMAL`). Other files, newer versions and damaged journals are never written to. May be
    used from several threads.

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
        self._name = str(self._file)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        # How many files have had this name: one may be deleted or replaced while it is open.
        self._files = 0
        self._private = 0
        # Milliseconds for which the connection waits for other processes.
        self._wait = -1
        # The runs that are active here, with the number of the file that has what they wrote; 0 before they did.
        self._active: dict[str, int] = {}
        # Not the same, which is held as long as somebody waits to write.
        self._active_lock = threading.Lock()
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
                    raise self._damaged(f"the text {digest} is {'missing' if row is None else 'altered'}")
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
            JournalError: the lock cannot be written.
        """
        with self._active_lock:
            if run_id in self._active:
                raise RunInProgress(f"run {run_id!r} is already active in this process", hint=ACTIVE_HINT)
            self._active[run_id] = 0
        try:
            unlock = self._lock_run(run_id)
            try:
                yield
            finally:
                unlock()
        finally:
            del self._active[run_id]

    def close(self) -> None:
        """Close the file, which is reopened when needed. A journal in memory is lost."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # SQLite

    def _lock_run(self, run_id: str) -> Callable[[], None]:
        if self._file is None:
            return lambda: None
        try:
            return lock_run(self._file, run_id)
        except RunHeldError as held:
            where = "already active in this process" if held.here else "active in another process"
            raise RunInProgress(f"run {run_id!r} is {where}", hint=ACTIVE_HINT) from None
        except OSError as error:
            raise JournalError(
                f"journal {self.path}: {error}", hint="choose a file in a directory that you may write to"
            ) from error

    @contextmanager
    def _reading(self, patience: float = PATIENCE) -> Iterator[sqlite3.Connection]:
        with self._connected(patience) as connection:
            yield connection

    @contextmanager
    def _writing(self, run_ids: Iterable[str], patience: float) -> Iterator[sqlite3.Connection]:
        with self._connected(patience) as connection:
            self._check_file(run_ids)
            self._make_private()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _connected(self, patience: float) -> Iterator[sqlite3.Connection]:
        """Lend the connection; other threads, and then other processes, are waited for `patience` seconds."""
        until = time.monotonic() + patience
        if not self._lock.acquire(timeout=patience):
            raise JournalBusy(f"journal {self.path}: another thread is writing")
        try:
            with self._journal_errors():
                left = max(0.0, until - time.monotonic())
                connection = self._open(left)
                self._wait_at_most(connection, left)
                yield connection
        finally:
            self._lock.release()

    def _wait_at_most(self, connection: sqlite3.Connection, seconds: float) -> None:
        # In hundredths of a second, so that it is seldom another one.
        wait = int(seconds * 100) * 10
        if wait != self._wait:
            connection.execute(f"PRAGMA busy_timeout = {wait}")
            self._wait = wait

    def _check_file(self, run_ids: Iterable[str]) -> None:
        """Raise a JournalError if the file is not the one that has what the runs wrote before."""
        active = [run_id for run_id in run_ids if run_id in self._active]
        for run_id in active:
            if self._active[run_id] not in (0, self._files):
                raise JournalError(
                    f"journal {self.path} was deleted or replaced while run {run_id!r} was active",
                    hint="what the run had recorded is gone with it",
                )
        self._active.update(dict.fromkeys(active, self._files))

    @contextmanager
    def _journal_errors(self) -> Iterator[None]:
        """Convert SQLite's errors to the journal's."""
        try:
            yield
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code == sqlite3.SQLITE_CORRUPT:
                raise self._damaged(str(error)) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise JournalBusy(f"journal {self.path}: another process is writing") from error
            raise JournalError(
                f"journal {self.path}: {error}", hint="is there free space, and is the file writable?"
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _open(self, patience: float) -> sqlite3.Connection:
        if self._connection is not None and self._opened != self._file_id():
            # Deleted or replaced: what is written to the open file would be gone with it.
            self._connection.close()
            self._connection, self._opened = None, None
        if self._connection is None:
            self._create_privately()
            connection = sqlite3.connect(
                self._file or ":memory:", timeout=patience, isolation_level=None, check_same_thread=False
            )
            # What is no UTF-8 is damaged: its checksum is wrong, and the rows beside it are read.
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            try:
                self._prepare(connection, patience)
            except BaseException:
                connection.close()
                raise
            self._connection, self._wait = connection, -1
            if self._files == 0 or self._opened != self._file_id():
                self._files += 1
                self._opened = self._file_id()
        return self._connection

    def _file_id(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            # Of the text: it is asked for at each use, and a `Path` would make that text anew.
            found = os.stat(self._name)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _create_privately(self) -> None:
        """Create the file for its owner alone, before SQLite would create it for all; SQLite's own files follow it."""
        if self._file is None:
            return
        try:
            os.close(os.open(self._file, os.O_CREAT | os.O_EXCL, PRIVATE))
        except FileExistsError:
            pass
        except OSError as error:
            raise JournalError(
                f"journal {self.path}: {error.strerror}", hint="choose a file in a directory that you may write to"
            ) from error

    def _make_private(self) -> None:
        """Take a file that was made for all, as they once were, from all but its owner; once for each file."""
        if self._file is None or self._private == self._files or not hasattr(os, "geteuid"):
            return
        for path in (self._file, Path(f"{self._file}-wal"), Path(f"{self._file}-shm")):
            # Whoever may write to it without owning it cannot change that.
            with suppress(OSError):
                found = path.stat()
                if found.st_uid == os.geteuid() and found.st_mode & OTHERS:
                    path.chmod(PRIVATE)
        self._private = self._files

    def _prepare(self, connection: sqlite3.Connection, patience: float) -> None:
        # Of one moment: another process may be creating it.
        connection.execute("BEGIN")
        found = self._is_journal(connection)
        connection.execute("COMMIT")
        if not found:
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have created it in the meantime.
            if not self._is_journal(connection):
                for statement in filter(str.strip, _schema().split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        _use_write_ahead_log(connection, time.monotonic() + patience)
        connection.execute("PRAGMA synchronous = NORMAL")

    def _is_journal(self, connection: sqlite3.Connection) -> bool:
        """Return whether the file is a journal; False if it is empty."""
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION_ID and version == SCHEMA_VERSION:
            return True
        if application == APPLICATION_ID:
            raise JournalError(
                f"journal {self.path} has version {version}, but this contemplate reads version {SCHEMA_VERSION}",
                hint="update contemplate-ai, or choose another file",
            )
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise JournalError(f"{self.path} is not a journal of contemplate", hint="choose another file")
        return False

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
            raise self._damaged(f"{what} cannot be understood") from error

    def _check(self, what: str, body: object, checksum: object) -> str:
        if not isinstance(body, str) or _checksum(body) != checksum:
            raise self._damaged(f"the checksum of {what} is wrong")
        return body

    def _damaged(self, what: str) -> JournalError:
        return JournalError(f"journal {self.path} is damaged: {what}", hint="nothing was written to it; move it away")


def _call_row(run_id: str, entry: Entry) -> tuple[str, str, str, int]:
    body = entry.model_dump_json()
    return run_id, entry.slot, body, _checksum(body)


def _run_row(run: RunRecord) -> tuple[str, float, str, int]:
    body = run.model_dump_json(exclude={"result": {"tasks": {"__all__": {"messages"}}}})
    return run.run_id, run.created, body, _checksum(body)


def _use_write_ahead_log(connection: sqlite3.Connection, until: float) -> None:
    """Change to a write-ahead log, for which SQLite itself does not wait if another process does so, too."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(PAUSE)


def _checksum(body: str) -> int:
    return zlib.crc32(body.encode(errors="surrogatepass"))


def _schema() -> str:
    return files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
