"""The journal in SQLite: in a file that many processes may share, or in memory."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from ..data import Data
from ..errors import JournalBusy, JournalError
from .entries import Entry, RunRecord, digest_of

# "ctmp": identifies a journal among SQLite files.
APPLICATION_ID = 0x63746D70
SCHEMA_VERSION = 1
QUICK = 0.02
PATIENCE = 30.0

DataT = TypeVar("DataT", bound=Data)


class Journal:
    """A store of runs and their calls, with one short transaction for each call. Every method blocks.

    A recorded call survives the death of the process, though perhaps not a power failure in the second after it (SQLite
    in WAL mode, `synchronous=NORMAL`). Other files, newer versions and damaged journals are never written to. May be
    used from several threads.

    Args:
        path: the file, created on first use; None keeps everything in memory.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._active: set[str] = set()

    def __repr__(self) -> str:
        return f"Journal({str(self.path) if self.path else None!r})"

    # Reading

    def runs(self) -> list[RunRecord]:
        """Return every run, the newest first, without images and results.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT body, checksum FROM runs ORDER BY created DESC, run_id"
        with self._reading() as connection:
            rows = connection.execute(query).fetchall()
        whole = (self._checked(RunRecord, *row) for row in rows)
        return [run.model_copy(update={"result": None, "images": ()}) for run in whole]

    def load(self, run_id: str) -> RunRecord | None:
        """Return the run `run_id`; None if there is none.

        Raises:
            JournalError: the file cannot be read.
        """
        with self._reading() as connection:
            row = connection.execute("SELECT body, checksum FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return None if row is None else self._checked(RunRecord, *row)

    def entries(self, run_id: str) -> list[Entry]:
        """Return a run's calls, in the order in which they ended.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT body, checksum FROM calls WHERE run_id = ? ORDER BY number"
        with self._reading() as connection:
            rows = connection.execute(query, (run_id,)).fetchall()
        return [self._checked(Entry, *row) for row in rows]

    def parts(self, digests: Iterable[str]) -> dict[str, str]:
        """Return pieces of requests, as JSON, by digest.

        Raises:
            JournalError: the file cannot be read, or one is missing.
        """
        found: dict[str, str] = {}
        with self._reading() as connection:
            for digest in digests:
                row = connection.execute("SELECT body FROM parts WHERE digest = ?", (digest,)).fetchone()
                if row is None or not isinstance(row[0], str) or digest_of(row[0]) != digest:
                    raise self._damaged(f"the text {digest} is {'missing' if row is None else 'altered'}")
                found[digest] = row[0]
        return found

    # Writing

    def save(self, run: RunRecord, *, patience: float = PATIENCE) -> None:
        """Store `run`, replacing its earlier record.

        Raises:
            JournalBusy: others kept writing for `patience` seconds.
            JournalError: it cannot be written.
        """
        body = run.model_dump_json(exclude={"result": {"tasks": {"__all__": {"messages"}}}})
        with self._writing(patience) as connection:
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?) "
                "ON CONFLICT (run_id) DO UPDATE SET body = excluded.body, checksum = excluded.checksum",
                (run.run_id, run.created, body, _checksum(body)),
            )

    def append(
        self, run_id: str, entries: Sequence[Entry], parts: Mapping[str, str], *, patience: float = PATIENCE
    ) -> None:
        """Store calls; each replaces an equal one that had not been answered.

        Raises:
            JournalBusy: others kept writing for `patience` seconds.
            JournalError: they cannot be written.
        """
        rows = [(run_id, entry.slot, body := entry.model_dump_json(), _checksum(body)) for entry in entries]
        with self._writing(patience) as connection:
            connection.executemany("INSERT OR IGNORE INTO parts VALUES (?, ?)", parts.items())
            connection.executemany("REPLACE INTO calls (run_id, slot, body, checksum) VALUES (?, ?, ?, ?)", rows)

    @contextmanager
    def hold(self, run_id: str) -> Iterator[None]:
        """Lock a run against other threads and processes; the lock ends with the process.

        Raises:
            JournalError: the run is locked already.
        """
        with self._lock:
            if run_id in self._active:
                raise JournalError(f"run {run_id!r} is already active in this process")
            self._active.add(run_id)
        try:
            if self.path is None:
                yield
            else:
                with self._locked(f"{self.path}.{quote(run_id, safe='')}.lock", run_id):
                    yield
        finally:
            self._active.discard(run_id)

    def close(self) -> None:
        """Close the file, which is reopened when needed. A journal in memory is lost."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # SQLite

    @contextmanager
    def _locked(self, path: str, run_id: str) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(path, blocking=False, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            hint = "wait until it ends, or stop it"
            raise JournalError(f"run {run_id!r} is active in another process", hint=hint) from None
        except OSError as error:
            raise JournalError(
                f"journal {self.path}: {error}", hint="choose a file in a directory that you may write to"
            ) from error
        try:
            yield
        finally:
            # Before the release: a process that opened the file in between sees that it was unlinked, and retries.
            Path(path).unlink(missing_ok=True)
            lock.release()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._journal_errors():
            yield self._open()

    @contextmanager
    def _writing(self, patience: float) -> Iterator[sqlite3.Connection]:
        if not self._lock.acquire(timeout=patience):
            raise JournalBusy(f"journal {self.path}: another thread is writing")
        try:
            with self._journal_errors():
                connection = self._open()
                connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
        finally:
            self._lock.release()

    @contextmanager
    def _journal_errors(self) -> Iterator[None]:
        """Convert SQLite's errors to the journal's."""
        try:
            yield
        except sqlite3.OperationalError as error:
            # Python's own error, for text that is not UTF-8, has no code.
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

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self.path or ":memory:", timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if not self._is_journal(connection):
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have created it in the meantime.
            if not self._is_journal(connection):
                for statement in filter(str.strip, _schema().split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
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

    def _checked(self, kind: type[DataT], body: object, checksum: object) -> DataT:
        if not isinstance(body, str) or _checksum(body) != checksum:
            raise self._damaged("the checksum of a record is wrong")
        return self._parsed(kind, body)

    def _parsed(self, kind: type[DataT], body: str) -> DataT:
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            raise self._damaged(f"a {kind.__name__} cannot be read") from error

    def _damaged(self, what: str) -> JournalError:
        return JournalError(f"journal {self.path} is damaged: {what}", hint="nothing was written to it; move it away")


def _checksum(body: str) -> int:
    return zlib.crc32(body.encode(errors="surrogatepass"))


def _schema() -> str:
    return files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
