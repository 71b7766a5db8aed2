"""How far runs are that others carry out, in few words: for whoever waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from .entries import Entry, Status
from .journal import Journal
from .patience import PATIENCE


class RunCount(NamedTuple):
    """How many runs have a status, and how many of them were begun lately."""

    status: Status
    runs: int
    begun: int


def status_of(journal: Journal, run_id: str) -> Status | None:
    """Return the status of a run; None if there is none.

    Raises:
        JournalError: the journal cannot be read.
    """
    query = f"SELECT status FROM ({journal.store.glances}) AS glances WHERE run_id = ?"  # noqa: S608
    row = journal.store.read(lambda connection: connection.execute(query, (run_id,)).fetchone(), PATIENCE)
    return None if row is None else cast("Status", row[0])


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
