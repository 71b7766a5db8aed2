"""Workers, queues and runs at a glance."""

from __future__ import annotations

import time
from collections import Counter

from pydantic import Field

from ..arguments import checked_arguments
from ..data import Data
from ..journal import Journal
from ..journal.following import counts
from . import roster
from .engine.run_queue import RunQueue
from .place import Place, told_as_ours
from .roster import WorkerInfo

MINUTES = 5


class QueueStatus(Data):
    """The queue of a contemplator.

    Args:
        mind: its name.
        queued: how many runs wait.
        running: how many go on.
        oldest_seconds: for how long the oldest has waited.
        workers: how many workers that are alive have it.
    """

    mind: str
    queued: int = 0
    running: int = 0
    oldest_seconds: float = 0.0
    workers: int = 0


class ClusterStatus(Data):
    """A cluster at a glance.

    Args:
        workers: the workers, the oldest first.
        queues: of each contemplator that workers have, or runs wait for.
        runs: how many runs of the journal there are, by their status.
        begun_per_minute: how many of them were begun in the last five minutes, for each minute.
    """

    workers: tuple[WorkerInfo, ...] = ()
    queues: tuple[QueueStatus, ...] = ()
    runs: dict[str, int] = Field(default={})
    begun_per_minute: float = 0.0


@checked_arguments
def status(journal: str) -> ClusterStatus:
    """Return workers, queues and runs of the cluster on a journal at a glance.

    Raises:
        ConfigurationError: it is not the name of a PostgreSQL database.
        ClusterError: the database cannot be reached, or no worker has ever run there.
    """
    place = Place.of(journal)
    queue, opened = RunQueue(place), place.journal()
    try:
        return status_of_cluster(place, opened, queue)
    finally:
        queue.close()
        opened.close()


def status_of_cluster(place: Place, journal: Journal, queue: RunQueue) -> ClusterStatus:
    """Return the status of a cluster by what is open of it."""
    with told_as_ours(place), place.connect() as connection:
        workers = roster.workers(connection, place)
    alive = Counter(mind for each in workers if each.alive for mind in each.minds)
    waiting = {each.mind: each for each in queue.waiting()}
    queues = {mind: QueueStatus(mind=mind, workers=alive[mind]) for mind in sorted(alive.keys() | waiting.keys())}
    for mind, found in waiting.items():
        said = {"queued": found.queued, "running": found.running, "oldest_seconds": found.oldest_seconds}
        queues[mind] = queues[mind].model_copy(update=said)
    by_status = counts(journal, since=time.time() - 60.0 * MINUTES)
    return ClusterStatus(
        workers=tuple(workers),
        queues=tuple(queues.values()),
        runs={each.status: each.runs for each in by_status},
        begun_per_minute=sum(each.begun for each in by_status) / MINUTES,
    )
