"""A journal's SQLite file, which many processes may share, or a database in memory: opened, lent, known to be ours."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from ...errors import JournalBusy, JournalError
from .checkpoints import MOST_PAGES, Checkpoints
from .run_locks import PRIVATE

# "ctmp": identifies a journal among SQLite files.
APPLICATION_ID = 0x63746D70
SCHEMA_VERSION = 1
PAUSE = 0.01
OTHERS = 0o077


class Database:
    """The connection to a journal's file, lent to one thread at a time.

    Args:
        path: the file as it was named, for errors; None keeps everything in memory.
        file: the file itself, which no link leads to.

    Attributes:
        files: how many files have had this name: one may be deleted or replaced while it is open.
    """

    def __init__(self, path: Path | None, file: Path | None) -> None:
        self.files = 0
        self._path = path
        self._file = file
        self._name = str(file)
        self._lock = threading.Lock()
        self._checkpoints = Checkpoints(file)
        self._connection: sqlite3.Connection | None = None
        self._close: Callable[[], object] = lambda: None
        self._opened: tuple[int, int] | None = None
        self._private = 0
        # Milliseconds for which the connection waits for other processes.
        self._wait = -1

    @property
    def lent(self) -> bool:
        """Whether a thread has the connection."""
        return self._lock.locked()

    def close(self) -> None:
        """Close the file, which is opened again when it is needed."""
        with self._lock:
            self._checkpoints.close()
            self._close()
            self._connection = None

    @contextmanager
    def connected(self, patience: float) -> Iterator[sqlite3.Connection]:
        """Lend the connection; other threads, and then other processes, are waited for `patience` seconds."""
        until = time.monotonic() + patience
        if not self._lock.acquire(timeout=patience):
            raise JournalBusy(f"journal {self._path}: another thread is writing")
        try:
            with self._errors():
                left = max(0.0, until - time.monotonic())
                connection = self._open(left)
                self._wait_at_most(connection, left)
                yield connection
        finally:
            self._lock.release()

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Write all that is written in the block, or nothing of it."""
        self._make_private()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self._checkpoints.written()

    def _wait_at_most(self, connection: sqlite3.Connection, seconds: float) -> None:
        # In hundredths of a second, so that it is seldom another one.
        wait = int(seconds * 100) * 10
        if wait != self._wait:
            connection.execute(f"PRAGMA busy_timeout = {wait}")
            self._wait = wait

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert SQLite's errors to the journal's."""
        try:
            yield
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code == sqlite3.SQLITE_CORRUPT:
                raise self.damaged(str(error)) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise JournalBusy(f"journal {self._path}: another process is writing") from error
            raise JournalError(
                f"journal {self._path}: {error}", hint="is there free space, and is the file writable?"
            ) from error
        except (sqlite3.DataError, OverflowError) as error:
            # More than SQLite's limits, or Python's, allow.
            raise JournalError(f"journal {self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise self.damaged(str(error)) from error

    def _open(self, patience: float) -> sqlite3.Connection:
        if self._connection is not None and self._opened != self._file_id():
            # Deleted or replaced: what is written to the open file would be gone with it.
            self._close()
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
            # Journals need not be closed; but from 3.13 on, Python warns of connections that nobody has closed.
            self._close = weakref.finalize(self, _close_here, connection, os.getpid())
            if self.files == 0 or self._opened != self._file_id():
                self.files += 1
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
                f"journal {self._path}: {error.strerror}", hint="choose a file in a directory that you may write to"
            ) from error

    def _make_private(self) -> None:
        """Take a file that was made for all, as they once were, from all but its owner; once for each file."""
        if self._file is None or self._private == self.files or not hasattr(os, "geteuid"):
            return
        for path in (self._file, Path(f"{self._file}-wal"), Path(f"{self._file}-shm")):
            # Whoever may write to it without owning it cannot change that.
            with suppress(OSError):
                found = path.stat()
                if found.st_uid == os.geteuid() and found.st_mode & OTHERS:
                    path.chmod(PRIVATE)
        self._private = self.files

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
        connection.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}")

    def _is_journal(self, connection: sqlite3.Connection) -> bool:
        """Return whether the file is a journal; False if it is empty."""
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION_ID and version == SCHEMA_VERSION:
            return True
        if application == APPLICATION_ID:
            raise JournalError(
                f"journal {self._path} has version {version}, but this contemplate reads version {SCHEMA_VERSION}",
                hint="update contemplate-ai, or choose another file",
            )
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise JournalError(f"{self._path} is not a journal of contemplate", hint="choose another file")
        return False

    def damaged(self, what: str) -> JournalError:
        """Return the error for what is not as it was written."""
        return JournalError(f"journal {self._path} is damaged: {what}", hint="nothing was written to it; move it away")


def _close_here(connection: sqlite3.Connection, pid: int) -> None:
    """Close a connection, but not in a forked process: that would do to the file what it does not own."""
    if pid == os.getpid():
        connection.close()


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


def _schema() -> str:
    return files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
