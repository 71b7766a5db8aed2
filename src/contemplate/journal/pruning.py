"""Delete runs that are over and old, with their calls, and what no other run has in its requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from ..arguments import checked_arguments
from ..errors import ConfigurationError
from .entries import Status
from .journal import Journal
from .patience import PATIENCE
from .store import SQLConnection, Value

# Those that wait for a decision are not over, however old they are; nor are those that go on, which somebody has: the
# others that are "running" were their process's, which died.
OVER: tuple[Status, ...] = ("answered", "partial", "failed", "interrupted", "running")
RUNS_AT_ONCE = 500
PARTS_AT_ONCE = 500
# What is written with calls, in this order.
TOUCHED = ("parts", "calls")


@checked_arguments
def prune(journal: Journal, older_than: float, *, dry_run: bool = False) -> int:
    """Delete runs that are over, and return how many. Those whose process was killed are, once nobody has them.

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
    deleted = sum(_delete(journal, some, before, dry_run) for some in _batches(found, RUNS_AT_ONCE))
    if deleted and not dry_run:
        _delete_parts(journal)
    return deleted


def _delete(journal: Journal, run_ids: Sequence[str], before: float, dry_run: bool) -> int:
    # Only who takes a run knows that nobody has it.
    with journal.hold_free(run_ids) as mine:
        # Until they were taken, somebody may have gone on with them.
        still = [run_id for status in OVER for run_id in _over(journal, status, before, mine)] if mine else []
        if still and not dry_run:
            journal.store.write(partial(_delete_rows, journal, still), PATIENCE, still)
        return len(still)


def _over(journal: Journal, status: Status, before: float, among: Sequence[str] | None = None) -> list[str]:
    places, values = ("TRUE", {}) if among is None else _among("run_id", among)
    query = f"SELECT run_id FROM runs WHERE created < :before AND {places} AND {journal.store.has_status}"  # noqa: S608
    values |= {"status": status, "before": before}
    rows = journal.store.read(lambda connection: connection.execute(query, values).fetchall(), PATIENCE)
    return [run_id for (run_id,) in rows]


def _delete_rows(journal: Journal, run_ids: Sequence[str], connection: SQLConnection) -> None:
    places, values = _among("run_id", run_ids)
    for table in ("calls", "runs", *journal.store.beside_runs):
        connection.execute(f"DELETE FROM {table} WHERE {places}", values)  # noqa: S608


def _delete_parts(journal: Journal) -> None:
    """Delete the pieces of requests that no call has, a few at a time, so that whoever writes waits for little."""
    store = journal.store
    # Whoever writes calls may count on pieces that are there. So those who are at it end first; and all that is written
    # later is looked at again before anything is deleted.
    since = store.write(partial(_last_call, journal), PATIENCE)
    query = f"SELECT digest FROM parts EXCEPT {store.parts_in_use}"  # noqa: S608
    unused = store.read(lambda connection: connection.execute(query, {"after": 0}).fetchall(), PATIENCE)
    for some in _batches([digest for (digest,) in unused], PARTS_AT_ONCE):
        store.write(partial(_delete_unused, journal, some, since), PATIENCE)


def _last_call(journal: Journal, connection: SQLConnection) -> int:
    journal.store.alone(connection, *TOUCHED)
    ((last,),) = connection.execute("SELECT coalesce(max(number), 0) FROM calls").fetchall()
    return int(last)


def _delete_unused(journal: Journal, digests: Sequence[str], since: int, connection: SQLConnection) -> None:
    journal.store.alone(connection, *TOUCHED)
    used = {digest for (digest,) in connection.execute(journal.store.parts_in_use, {"after": since})}
    unused = [digest for digest in digests if digest not in used]
    if unused:
        places, values = _among("digest", unused)
        connection.execute(f"DELETE FROM parts WHERE {places}", values)  # noqa: S608


def _among(column: str, wanted: Sequence[str]) -> tuple[str, dict[str, Value]]:
    """Return a condition that a column has one of these values, and what it is given by name."""
    values: dict[str, Value] = {f"v{number}": value for number, value in enumerate(wanted)}
    return f"{column} IN ({', '.join(f':{name}' for name in values)})", values


def _batches(found: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for at in range(0, len(found), size):
        yield found[at : at + size]
