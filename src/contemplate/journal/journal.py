"""A journal: the records of runs and their calls, as rows of a database."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from ..arguments import checked_arguments
from ..data import Data
from ..decisions import PendingCall
from ..errors import ConfigurationError, JournalError, RunInProgress, error_info
from .entries import Entry, RunRecord, Status, digest_of
from .group_commit import GroupCommit, Write
from .patience import PATIENCE
from .sqlite import SQLiteFile
from .store import Place, SQLConnection, Store

# What journals are called where they are given by name, and databases in memory by SQLite.
NAMES = ("memory:", ":memory:", "sqlite:", "file:", "postgresql:", "postgres:")
PATH_HINT = 'a path, such as "runs.db"; Journal() is one in memory'
ACTIVE_HINT = "wait until it ends, or stop it"
# Databases have limits on the length of what they index.
LONGEST_SLOT = 1000
PARTS_AT_ONCE = 100

DataT = TypeVar("DataT", bound=Data)


class Journal:
    """A store of runs and their calls, with a short transaction for each call, or for several that end together.

    Every method blocks. In a file, a recorded call survives the death of the process, though perhaps not a power
    failure in the second after it (SQLite in WAL mode, `synchronous=NORMAL`). Other files, newer versions and damaged
    journals are never written to. May be used from several threads. `open_journal` opens one that is no file.

    Args:
        path: the file, created on first use; None keeps everything in memory.

    Raises:
        ConfigurationError: the path is the name of a journal, such as "sqlite:///runs.db".
    """

    def __init__(self, path: str | Path | None = None) -> None:
        if str(path).startswith(NAMES):
            # It would be a file of that name, in the folder where one happens to be.
            raise ConfigurationError(f"journal {str(path)!r} is not the path of a file", hint=PATH_HINT)
        self._begin(SQLiteFile(None if path is None else Path(path)))

    @classmethod
    def at(cls, place: Place) -> Journal:
        """Return the journal at a place."""
        journal = cls.__new__(cls)
        journal._begin(place)
        return journal

    def _begin(self, place: Place) -> None:
        self._place = place
        # What is open in a process is nothing to those that are forked from it.
        self._stores: dict[int, Store] = {}
        self._active: dict[tuple[int, str], object] = {}
        self.together = GroupCommit(lambda writes, patience: self.write(writes, patience), lambda: self.remote)

    def __repr__(self) -> str:
        return f"Journal({self.name!r})"

    @property
    def path(self) -> Path | None:
        """Its file; None if it has none."""
        return self._place.path

    @property
    def name(self) -> str | None:
        """What users call it, without secrets; None if it is in memory."""
        return self._place.name

    @property
    def key(self) -> Hashable:
        """What is equal for two journals that are the same; None if it is in memory."""
        return self._place.key

    @property
    def remote(self) -> bool:
        """Whether it is reached over a network, so that its methods are called in threads only."""
        return self.store.remote

    @property
    def store(self) -> Store:
        """Its database, as this process uses it."""
        # One in memory is copied with the process, but a connection must not be used by both.
        process = 0 if self.key is None else os.getpid()
        if process not in self._stores:
            self._stores.setdefault(process, self._place.open())
        return self._stores[process]

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
        everything = status in (None, "damaged")
        query = (
            "SELECT run_id, created, body, checksum FROM runs "  # noqa: S608
            f"WHERE {'TRUE' if everything else self.store.has_status} ORDER BY created DESC, run_id LIMIT :most"
        )
        most = limit if limit is not None and status is None else sys.maxsize
        values = {"most": most} if everything else {"most": most, "status": status}
        rows = self.store.read(lambda connection: connection.execute(query, values).fetchall(), PATIENCE)
        listed = (self._listed(*row) for row in rows)
        return list(islice((run for run in listed if status in (None, run.status)), limit))

    def run_ids(self, beginning: str = "", limit: int | None = None) -> list[str]:
        """Return the ids of the runs that begin so, the newest first; at most `limit` of them.

        Raises:
            JournalError: the file cannot be read.
        """
        query = "SELECT run_id FROM runs WHERE substr(run_id, 1, ?) = ? ORDER BY created DESC, run_id LIMIT ?"
        values = (len(beginning), beginning, sys.maxsize if limit is None else limit)
        rows = self.store.read(lambda connection: connection.execute(query, values).fetchall(), PATIENCE)
        return [run_id for (run_id,) in rows]

    def load(self, run_id: str, *, patience: float = PATIENCE) -> RunRecord | None:
        """Return the run `run_id`; None if there is none.

        Raises:
            JournalBusy: others kept the file to themselves for `patience` seconds.
            JournalError: the file cannot be read.
        """
        query = "SELECT body, checksum FROM runs WHERE run_id = ?"
        row = self.store.read(lambda connection: connection.execute(query, (run_id,)).fetchone(), patience)
        return None if row is None else self.checked(RunRecord, f"the record of run {run_id!r}", *row)

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
        rows = self.store.read(lambda connection: connection.execute(query, (run_id,)).fetchall(), patience)
        return [self.checked(Entry, f"a call of run {run_id!r}", *row) for row in rows]

    def parts(self, digests: Iterable[str]) -> list[str]:
        """Return the pieces of a request that have these digests, as JSON, in this order.

        Raises:
            JournalError: the file cannot be read, or one is missing.
        """
        wanted = list(digests)
        distinct = list(dict.fromkeys(wanted))

        def read(connection: SQLConnection) -> dict[str, str]:
            found: dict[str, str] = {}
            for start in range(0, len(distinct), PARTS_AT_ONCE):
                some = distinct[start : start + PARTS_AT_ONCE]
                places = ", ".join("?" * len(some))
                found.update(connection.execute(f"SELECT digest, body FROM parts WHERE digest IN ({places})", some))  # noqa: S608
            return found

        found = self.store.read(read, PATIENCE)
        for digest in wanted:
            if digest not in found or not isinstance(found[digest], str) or digest_of(found[digest]) != digest:
                raise self.store.damaged(f"the text {digest} is {'altered' if digest in found else 'missing'}")
        return [found[digest] for digest in wanted]

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
        # In one order for all: else two processes might wait for each other.
        parts = sorted({digest: text for write in writes for digest, text in write.parts.items()}.items())
        calls = [_call_row(write.run_id, entry) for write in writes for entry in write.entries]
        records = [write.run for write in writes if write.run is not None]
        runs = [_run_row(run) for run in records]
        run_ids = {write.run_id for write in writes}

        def store(connection: SQLConnection) -> None:
            connection.executemany("INSERT INTO parts (digest, body) VALUES (?, ?) ON CONFLICT DO NOTHING", parts)
            connection.executemany(
                "INSERT INTO calls (run_id, slot, body, checksum) VALUES (?, ?, ?, ?) "
                # What is written again comes last, as it has ended last.
                "ON CONFLICT (run_id, slot) DO UPDATE SET "
                "number = excluded.number, body = excluded.body, checksum = excluded.checksum",
                calls,
            )
            connection.executemany(
                "INSERT INTO runs (run_id, created, body, checksum) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (run_id) DO UPDATE SET body = excluded.body, checksum = excluded.checksum",
                runs,
            )
            self.store.note(connection, run_ids, records)

        self.store.write(store, patience, run_ids)

    @contextmanager
    def hold(self, run_id: str) -> Iterator[None]:
        """Lock a run against other threads and processes; the lock ends with the process.

        Raises:
            RunInProgress: the run is locked already.
            JournalBusy: whether it is will be known soon.
            JournalError: the lock cannot be written.
        """
        let_go = self.take(run_id)
        try:
            yield
        finally:
            let_go()

    @contextmanager
    def hold_free(self, run_ids: Iterable[str]) -> Iterator[list[str]]:
        """Lock those of the runs that nobody has, and lend these; the locks end with the process.

        Raises:
            JournalBusy: others kept the journal to themselves.
            JournalError: the locks cannot be written.
        """
        mine, active = list[str](), object()
        with ExitStack() as stack:
            for run_id in run_ids:
                key = (os.getpid(), run_id)
                if self._active.setdefault(key, active) is active:
                    stack.callback(self._active.pop, key)
                    mine.append(run_id)
            taken, let_go = self.store.hold_free(mine)
            stack.callback(let_go)
            yield taken

    def take(self, run_id: str) -> Callable[[], None]:
        """Lock a run, as `hold` does, and return what unlocks it.

        Raises:
            RunInProgress: the run is locked already.
            JournalBusy: whether it is will be known soon.
            JournalError: the lock cannot be written.
        """
        key, active = (os.getpid(), run_id), object()
        # In one step: whoever comes at the same time finds it.
        if self._active.setdefault(key, active) is not active:
            raise RunInProgress(f"run {run_id!r} is already active in this process", hint=ACTIVE_HINT)
        try:
            unlock = self.store.hold(run_id)
        except BaseException:
            del self._active[key]
            raise

        def let_go() -> None:
            try:
                unlock()
            finally:
                del self._active[key]

        return let_go

    def close(self) -> None:
        """Close the file or the connections, which are opened again when needed. A journal in memory is lost."""
        self.store.close()

    def _listed(self, run_id: str, created: float, body: str, checksum: int) -> RunRecord:
        try:
            self.check(f"the record of run {run_id!r}", body, checksum)
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

    def checked(self, kind: type[DataT], what: str, body: object, checksum: object) -> DataT:
        """Return what was stored as JSON beside its checksum.

        Raises:
            JournalError: it is not as it was written.
        """
        text = self.check(what, body, checksum)
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            raise self.store.damaged(f"{what} cannot be understood") from error

    def check(self, what: str, body: object, checksum: object) -> str:
        """Return a text that was stored beside its checksum.

        Raises:
            JournalError: it is not as it was written.
        """
        if not isinstance(body, str) or checksum_of(body) != checksum:
            raise self.store.damaged(f"the checksum of {what} is wrong")
        return body


def _call_row(run_id: str, entry: Entry) -> tuple[str, str, str, int]:
    body, slot = entry.model_dump_json(), entry.slot
    key = slot if len(slot) <= LONGEST_SLOT else digest_of(slot)
    return run_id, key, body, checksum_of(body)


def _run_row(run: RunRecord) -> tuple[str, float, str, int]:
    body = run.model_dump_json(exclude={"result": {"tasks": {"__all__": {"messages"}}}})
    return run.run_id, run.created, body, checksum_of(body)


def checksum_of(body: str) -> int:
    """Return what is stored beside a text, to tell whether it is whole."""
    return zlib.crc32(body.encode(errors="surrogatepass"))
