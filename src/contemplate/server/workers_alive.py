"""Whether there are workers, looked up once for all requests that wait."""

from __future__ import annotations

import anyio

from ..cluster import Client
from ..errors import ClusterError

# How often is looked, and for how long no worker may be seen, in seconds: one may be replaced by another.
LOOK_SECONDS = 1.0
NOBODY_SECONDS = 5.0


class WorkersAlive:
    """Which contemplators have a worker that is alive.

    Args:
        client: the client of the workers.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._looking = anyio.Lock()
        self._looked = -LOOK_SECONDS
        self._minds: frozenset[str] | None = None

    async def until_nobody(self, mind: str) -> float:
        """Wait until no worker with `mind` has been alive for a while, and return for how many seconds."""
        missed: float | None = None
        while True:
            minds, now = await self._look(), anyio.current_time()
            # Of a database that is away, nobody knows.
            missed = None if minds is None or mind in minds else now if missed is None else missed
            if missed is not None and now >= missed + NOBODY_SECONDS:
                return NOBODY_SECONDS
            await anyio.sleep(LOOK_SECONDS)

    async def _look(self) -> frozenset[str] | None:
        async with self._looking:
            if anyio.current_time() >= self._looked + LOOK_SECONDS:
                try:
                    workers = await self._client.workers()
                    self._minds = frozenset(mind for each in workers if each.alive for mind in each.minds)
                except ClusterError:
                    self._minds = None
                self._looked = anyio.current_time()
            return self._minds
