"""The journal in SQLite: one file, for many processes, or none and in memory only."""

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

# "ctmp": tells a journal from any other SQLite file.
APPLICATION_ID = 0x63746D70
SCHEMA_VERSION = 1
QUICK = 0.02
PATIENCE = 30.0

DataT = TypeVar("DataT", bound=Data)


class Journal:
    """Runs, and what their calls brought. Made for one short transaction a call; every method blocks.

    A finished call survives the death of the process, though perhaps not that of the machine in the second after it
    (SQLite in WAL mode, `synchronous=NORMAL`). A file of something else, of a newer version, or a damaged one is never
    written to. May be used from several threads.

    Args:
        path: the file, made on first use; None keeps all in memory.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._held: set[str] = set()

    def __repr__(self) -> str:
        return f"Journal({str(self.path) if self.path else None!r})"

    # What was

    def runs(self) -> list[RunRecord]:
        """Every run, the newest first, without images and results.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT body, checksum FROM runs ORDER BY created DESC, run_id"
        with self._reading() as connection:
            rows = connection.execute(query).fetchall()
        whole = (self._checked(RunRecord, *row) for row in rows)
        return [run.model_copy(update={"result": None, "images": ()}) for run in whole]

    def load(self, run_id: str) -> RunRecord | None:
        """The run called so; None if there is none.

        Raises:
            JournalError: the file cannot be read.
        """
        with self._reading() as connection:
            row = connection.execute("SELECT body, checksum FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return None if row is None else self._checked(RunRecord, *row)

    def entries(self, run_id: str) -> list[Entry]:
        """A run's calls, in the order in which they ended.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT body, checksum FROM calls WHERE run_id = ? ORDER BY number"
        with self._reading() as connection:
            rows = connection.execute(query, (run_id,)).fetchall()
        return [self._checked(Entry, *row) for row in rows]

    def parts(self, digests: Iterable[str]) -> dict[str, str]:
        """The pieces of requests, as JSON, under their digests.

        Raises:
            JournalError: the file cannot be read, or one is missing.
        """
        found: dict[str, str] = {}
        with self._reading() as connection:
            for digest in digests:
                row = connection.execute("SELECT body FROM parts WHERE digest = ?", (digest,)).fetchone()
                if row is None or not isinstance(row[0], str) or digest_of(row[0]) != digest:
                    raise self._damaged(f"the text {digest} is {'missing' if row is None else 'not what it was'}")
                found[digest] = row[0]
        return found

    # What is

    def save(self, run: RunRecord, *, patience: float = PATIENCE) -> None:
        """Write `run` down, in place of what was known of it.

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
        """Write calls down; each takes the place of an equal one that had not been answered.

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
        """Keep a run to oneself, among all processes; it is free again when the process dies.

        Raises:
            JournalError: somebody else holds it.
        """
        with self._lock:
            if run_id in self._held:
                raise JournalError(f"run {run_id!r} is going on in this process already")
            self._held.add(run_id)
        try:
            if self.path is None:
                yield
            else:
                with self._locked(f"{self.path}.{quote(run_id, safe='')}.lock", run_id):
                    yield
        finally:
            self._held.discard(run_id)

    def close(self) -> None:
        """Close the file. It is opened again if need be; what was in memory only is gone."""
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
            hint = "wait for its end, or stop it"
            raise JournalError(f"run {run_id!r} is going on in another process", hint=hint) from None
        except OSError as error:
            raise JournalError(f"journal {self.path}: {error}", hint="choose a file in a directory of yours") from error
        try:
            yield
        finally:
            # Before it is released: whoever opened the file in between finds it unlinked, and looks again.
            Path(path).unlink(missing_ok=True)
            lock.release()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._told():
            yield self._opened()

    @contextmanager
    def _writing(self, patience: float) -> Iterator[sqlite3.Connection]:
        if not self._lock.acquire(timeout=patience):
            raise JournalBusy(f"journal {self.path}: another thread is writing")
        try:
            with self._told():
                connection = self._opened()
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
    def _told(self) -> Iterator[None]:
        """What SQLite says, in our words."""
        try:
            yield
        except sqlite3.OperationalError as error:
            # Python's own complaint, that a text is no UTF-8, has no code.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code == sqlite3.SQLITE_CORRUPT:
                raise self._damaged(str(error)) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise JournalBusy(f"journal {self.path}: another process is writing") from error
            raise JournalError(f"journal {self.path}: {error}", hint="is there room, and may it be written?") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _opened(self) -> sqlite3.Connection:
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
        if not self._known(connection):
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have made it while we waited.
            if not self._known(connection):
                for statement in filter(str.strip, _schema().split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    def _known(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is a journal of ours; False if it is empty."""
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION_ID and version == SCHEMA_VERSION:
            return True
        if application == APPLICATION_ID:
            raise JournalError(
                f"journal {self.path} has version {version}, and this contemplate knows version {SCHEMA_VERSION}",
                hint="update contemplate-ai, or choose another file",
            )
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise JournalError(f"{self.path} is no journal of contemplate", hint="choose another file")
        return False

    def _checked(self, kind: type[DataT], body: object, checksum: object) -> DataT:
        if not isinstance(body, str) or _checksum(body) != checksum:
            raise self._damaged("a record is not what it was")
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
