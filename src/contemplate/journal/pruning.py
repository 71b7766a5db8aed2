"""Delete runs that are over and old, with their calls, and what no other run has in its requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from ..arguments import checked_arguments
from ..errors import ConfigurationError, RunInProgress
from .entries import Status
from .journal import Journal
from .patience import PATIENCE
from .store import SQLConnection

# Those that go on, or wait for a decision, are not over, however old they are.
OVER: tuple[Status, ...] = ("answered", "partial", "failed", "interrupted")
RUNS_AT_ONCE = 200
NOWHERE: Mapping[str, str] = {}


@checked_arguments
def prune(journal: Journal, older_than: float, *, dry_run: bool = False) -> int:
    """Delete runs that are over, and return how many.

    What is deleted is asked anew if it is asked again, also by batches and comparisons. A file does not get smaller:
    its room is used for what comes later.

    Args:
        journal: where they are.
        older_than: only those that began more than so many seconds ago.
        dry_run: only count them.

    Raises:
        ConfigurationError: `older_than` is below 0.
        JournalError: the journal cannot be read or written.
    """
    if older_than < 0:
        raise ConfigurationError(f"older_than={older_than:g} is below 0", hint="seconds, such as 30 * 86_400")
    before = journal.store.read(journal.store.now, PATIENCE) - older_than
    found = [run_id for status in OVER for run_id in _over(journal, status, before)]
    if dry_run or not found:
        return len(found)
    deleted = sum(_delete(journal, found[at : at + RUNS_AT_ONCE], before) for at in range(0, len(found), RUNS_AT_ONCE))
    journal.store.write(partial(_delete_parts, journal), PATIENCE)
    return deleted


def _delete(journal: Journal, run_ids: list[str], before: float) -> int:
    with _taken(journal, run_ids) as mine:
        # Until they were taken, somebody may have gone on with them.
        places = {f"run_{number}": run_id for number, run_id in enumerate(mine)}
        among = f"run_id IN ({', '.join(f':{name}' for name in places)})"
        still = [run_id for status in OVER for run_id in _over(journal, status, before, among, places)] if mine else []
        rows = [(run_id,) for run_id in still]
        return journal.store.write(partial(_delete_rows, journal, rows), PATIENCE, still)


def _over(
    journal: Journal, status: Status, before: float, among: str = "TRUE", places: Mapping[str, str] = NOWHERE
) -> list[str]:
    query = f"SELECT run_id FROM runs WHERE created < :before AND {among} AND {journal.store.has_status}"  # noqa: S608
    values = {"status": status, "before": before, **places}
    rows = journal.store.read(lambda connection: connection.execute(query, values).fetchall(), PATIENCE)
    return [run_id for (run_id,) in rows]


def _delete_rows(journal: Journal, rows: list[tuple[str]], connection: SQLConnection) -> int:
    for table in ("calls", "runs", *journal.store.beside_runs):
        connection.executemany(f"DELETE FROM {table} WHERE run_id = ?", rows)  # noqa: S608
    return len(rows)


def _delete_parts(journal: Journal, connection: SQLConnection) -> None:
    # Whoever writes calls meanwhile may count on parts that are there.
    journal.store.alone(connection, "parts")
    connection.execute(f"DELETE FROM parts WHERE digest NOT IN ({journal.store.parts_in_use})")  # noqa: S608


@contextmanager
def _taken(journal: Journal, run_ids: list[str]) -> Iterator[list[str]]:
    """Take those of the runs that nobody has."""
    taken = []
    try:
        for run_id in run_ids:
            try:
                taken.append((run_id, journal.take(run_id)))
            except RunInProgress:
                continue
        yield [run_id for run_id, _ in taken]
    finally:
        for _, let_go in taken:
            let_go()
