"""Workers, queues, limits and runs at a glance."""

from __future__ import annotations

import time
from collections import Counter

from pydantic import Field

from ..arguments import checked_arguments
from ..data import Data
from ..journal import Journal
from ..journal.account_limits import AccountStatus, JournalAccounts
from ..journal.following import counts
from . import roster
from .engine.run_queue import LONGEST_ANSWER, QueueStatus, RunQueue
from .roster import WorkerInfo
from .site import Site, told_as_ours

MINUTES = 5


class ClusterStatus(Data):
    """A cluster at a glance.

    Args:
        workers: the workers, the oldest first.
        queues: of each contemplator that workers have, or runs wait for.
        limits: the accounts whose limits processes share in this journal.
        runs: how many runs of the journal there are, by their status.
        begun_per_minute: how many of them were begun in the last five minutes, for each minute.
    """

    workers: tuple[WorkerInfo, ...] = ()
    queues: tuple[QueueStatus, ...] = ()
    limits: tuple[AccountStatus, ...] = ()
    runs: dict[str, int] = Field(default={})
    begun_per_minute: float = 0.0


@checked_arguments
def status(journal: str) -> ClusterStatus:
    """Return workers, queues, limits and runs of the cluster on a journal at a glance.

    Raises:
        ConfigurationError: it is not the name of a PostgreSQL database.
        ClusterError: the database cannot be reached, or no worker has ever run there.
    """
    site = Site.of(journal)
    queue, opened = RunQueue(site), site.journal()
    try:
        return status_of_cluster(site, opened, queue)
    finally:
        queue.close()
        opened.close()


def status_of_cluster(site: Site, journal: Journal, queue: RunQueue) -> ClusterStatus:
    """Return the status of a cluster by what is open of it."""
    workers, queues = workers_and_queues(site, queue)
    by_status = counts(journal, since=time.time() - 60.0 * MINUTES)
    return ClusterStatus(
        workers=tuple(workers),
        queues=tuple(queues),
        limits=tuple(JournalAccounts(journal).status()),
        runs={each.status: each.runs for each in by_status},
        begun_per_minute=sum(each.begun for each in by_status) / MINUTES,
    )


def workers_and_queues(site: Site, queue: RunQueue) -> tuple[list[WorkerInfo], list[QueueStatus]]:
    """Return the workers, and the queues of all contemplators that these have, or runs wait for.

    Raises:
        ClusterError: the database cannot be reached, or no worker has ever run there.
    """
    with told_as_ours(site), site.connect(longest=LONGEST_ANSWER) as connection:
        workers = roster.workers(connection, site)
    alive = Counter(mind for each in workers if each.alive for mind in each.minds)
    queues = {mind: QueueStatus(mind=mind) for mind in alive} | {each.mind: each for each in queue.queues()}
    return workers, [each.model_copy(update={"workers": alive[mind]}) for mind, each in sorted(queues.items())]
