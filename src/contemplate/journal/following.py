"""How far runs are that others carry out, in few words: for whoever waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

from ..errors import JournalError
from .entries import Entry, RunRecord, Status
from .journal import Journal
from .overview import RunOverview
from .patience import PATIENCE
from .store import SQLConnection

# Databases have limits on the values of a statement.
AT_ONCE = 100
# What a run is called that says that it is running, and that no living process has: nobody could write that it is not.
KILLED: Literal["killed"] = "killed"


class RunCount(NamedTuple):
    """How many runs have a status, and how many of them were begun lately."""

    status: Status
    runs: int
    begun: int


def statuses_of(journal: Journal, run_ids: Sequence[str]) -> dict[str, Status]:
    """Return the statuses of those of the runs that there are.

    Raises:
        JournalError: the journal cannot be read.
    """
    query = f"SELECT run_id, status FROM ({journal.store.glances}) AS glances"  # noqa: S608
    return {run_id: cast("Status", status) for run_id, status in _rows(journal, query, run_ids)}


def killed(journal: Journal, runs: Iterable[RunRecord | RunOverview]) -> set[str]:
    """Return the ids of those of the runs that say that they are running, and that no living process has.

    `resume` goes on with them. A process on another machine is alive until it has not been heard of for a while.

    Raises:
        JournalError: the journal cannot be read.
    """
    running = {run.run_id for run in runs if run.status == "running"}
    nobodys = running - journal.store.held(running) if running else set[str]()
    # Of those that have ended meanwhile, nobody has had to die.
    statuses = statuses_of(journal, sorted(nobodys))
    return {run_id for run_id in nobodys if statuses.get(run_id, "running") == "running"}


def records_of(journal: Journal, run_ids: Sequence[str]) -> dict[str, RunRecord | JournalError]:
    """Return the records of those of the runs that there are; of one that is damaged, the error.

    Raises:
        JournalError: the journal cannot be read.
    """
    found: dict[str, RunRecord | JournalError] = {}
    for run_id, body, checksum in _rows(journal, "SELECT run_id, body, checksum FROM runs", run_ids):
        try:
            found[run_id] = journal.checked(RunRecord, f"the record of run {run_id!r}", body, checksum)
        except JournalError as error:
            found[run_id] = error
    return found


def calls_after(journal: Journal, run_id: str, number: int) -> tuple[list[Entry], int, Mapping[str, str]]:
    """Return the calls of a run that were recorded after that of this number, in their order; and the last number.

    Those of tools are there as they were asked for, too, by their slots.

    Raises:
        JournalError: the journal cannot be read.
    """
    query = "SELECT number, body, checksum FROM calls WHERE run_id = ? AND number > ? ORDER BY number"
    rows = journal.store.read(lambda connection: connection.execute(query, (run_id, number)).fetchall(), PATIENCE)
    entries = [journal.checked(Entry, f"a call of run {run_id!r}", body, checksum) for _, body, checksum in rows]
    tools = [entry for entry in entries if entry.role == "tool" and entry.parts]
    asked = journal.parts(entry.parts[0] for entry in tools) if tools else []
    last = rows[-1][0] if rows else number
    return entries, last, {entry.slot: text for entry, text in zip(tools, asked, strict=True)}


def counts(journal: Journal, since: float) -> list[RunCount]:
    """Return how many runs have each status, and how many of them were begun after `since`, in seconds since 1970.

    Raises:
        JournalError: the journal cannot be read.
    """
    query = (
        "SELECT status, count(*), count(*) FILTER (WHERE created > ?) "  # noqa: S608
        f"FROM ({journal.store.glances}) AS glances GROUP BY status ORDER BY status"
    )
    rows = journal.store.read(lambda connection: connection.execute(query, (since,)).fetchall(), PATIENCE)
    return [RunCount(*row) for row in rows]


def _rows(journal: Journal, query: str, run_ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the rows of a query whose `run_id` is one of these."""

    def read(connection: SQLConnection) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(run_ids), AT_ONCE):
            some = run_ids[start : start + AT_ONCE]
            rows += connection.execute(f"{query} WHERE run_id IN ({', '.join('?' * len(some))})", some).fetchall()
        return rows

    return journal.store.read(read, PATIENCE)
