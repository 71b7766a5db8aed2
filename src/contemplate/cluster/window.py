"""How many runs of a batch are in the queue: as many as keep the workers busy, whoever comes and goes."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from .link import Link
from .roster import WorkerInfo

# For each place that workers have, so many runs are under way or wait, so that a place that is free has a run at
# once; at least and at most so many, whatever there are of workers; and after how many seconds it is looked again.
TIMES, LEAST, MOST = 2, 16, 1000
LOOK_SECONDS = 5.0


class BatchWindow:
    """How many runs of a batch may be in the queue, or under way.

    Args:
        link: what the client has open.
        mind: the contemplator that answers.
        most: how many at most; or how many, if it does not follow the workers.
        grows: whether it does.

    Attributes:
        slots: of which each run takes one.
    """

    def __init__(self, link: Link, mind: str, most: int, *, grows: bool) -> None:
        self.slots = anyio.CapacityLimiter(most)
        self._link = link
        self._mind = mind
        self._grows = grows
        self._due = anyio.current_time() + LOOK_SECONDS

    async def look(self) -> None:
        """See now and then how many runs the workers have a place for."""
        if self._grows and anyio.current_time() >= self._due:
            # Once for all who come meanwhile.
            self._due = anyio.current_time() + LOOK_SECONDS
            self.fit(await self._link.workers())

    def fit(self, workers: Sequence[WorkerInfo]) -> None:
        """Make as much room as these workers call for."""
        if self._grows:
            self.slots.total_tokens = min(MOST, max(LEAST, TIMES * _places(workers, self._mind)))


def _places(workers: Sequence[WorkerInfo], mind: str) -> int:
    return sum(each.concurrency for each in workers if each.alive and not each.draining and mind in each.minds)
