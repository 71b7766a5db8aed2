"""Delete what queues have of runs that are over and old, once the journal does not have them any more."""

from __future__ import annotations

from contextlib import closing
from math import inf

from ..arguments import checked_arguments
from ..journal.following import statuses_of
from ..journal.patience import PATIENCE
from .engine.run_queue import AT_ONCE, RunQueue
from .site import Site


@checked_arguments
def prune_queues(journal: str, older_than: float) -> int:
    """Delete the rows that queues have of runs that are over, and return how many.

    A run that is in the journal keeps its row, as it may go on, and then with what it was asked: so `journal.prune`
    comes first.

    Args:
        journal: the database.
        older_than: only of runs that were over more than so many seconds ago.

    Raises:
        ConfigurationError: it is not the name of a PostgreSQL database.
        ClusterError: the database cannot be reached.
        JournalError: the journal cannot be read.
    """
    site, deleted, kept = Site.of(journal), 0, 0
    with closing(RunQueue(site, longest=inf)) as queue, closing(site.journal()) as opened:
        before = opened.store.read(opened.store.now, PATIENCE) - older_than
        while some := queue.over(before, AT_ONCE, after=kept):
            gone = sorted(set(some) - statuses_of(opened, some).keys())
            removed = queue.forget(gone)
            deleted, kept = deleted + removed, kept + len(some) - removed
    return deleted
