"""What a worker takes from the queues. On asyncio, and one in a process, as DBOS is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

import sqlalchemy
from dbos import DBOS, DBOSConfig
from pydantic import JsonValue

from ...errors import ClusterError
from ..site import Site
from .connection import APPLICATION, VERSION, WORKFLOW, JsonSerializer, connections, use_own_log, working

THREADS = 8
CONNECTIONS = 6
# How often a queue is asked for more, by each worker that has room, in seconds.
LOOK_SECONDS = 0.2

# Carries out a run, by its id and what was asked; returns what is known of it that is not in the journal.
CarryOut = Callable[[str, Mapping[str, JsonValue]], Awaitable[JsonValue]]


# As DBOS is one for the process, so is what it works for.
_of_this_process: list[str] = []


class Executor:
    """A worker's share of the queues, from `start` to `stop`.

    Args:
        site: the database.
        worker: the worker's id, which no other ever has.
        minds: the queues.
        concurrency: how many runs of each queue go on at once.
        carry_out: carries out a run. If it is cancelled, the run stays the worker's, until somebody else is given it.
    """

    def __init__(self, site: Site, worker: str, minds: Sequence[str], concurrency: int, carry_out: CarryOut) -> None:
        self._site = site
        self._worker = worker
        self._minds = list(minds)
        self._concurrency = concurrency
        self._carry_out = carry_out
        self._pool: sqlalchemy.Engine | None = None

    async def start(self) -> None:
        """Take runs from now on. The event loop stands still meanwhile: in it DBOS is to run what it takes.

        Raises:
            ClusterError: there is a worker in this process, or the tables of queues cannot be made.
        """
        if _of_this_process:
            raise ClusterError("there is a worker in this process", hint="give all to one, or start another process")
        _of_this_process.append(self._worker)
        use_own_log()
        self._pool = connections(self._site, CONNECTIONS)
        config = DBOSConfig(
            name=APPLICATION,
            system_database_engine=self._pool,
            dbos_system_schema=self._site.engine_schema,
            executor_id=self._worker,
            application_version=VERSION,
            serializer=JsonSerializer(),
            max_executor_threads=THREADS,
            enable_otlp=False,
            use_listen_notify=False,
            log_level="INFO",
        )
        DBOS(config=config)

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        async def contemplation(asked: dict[str, JsonValue]) -> JsonValue:
            assert DBOS.workflow_id is not None  # noqa: S101
            return await self._carry_out(DBOS.workflow_id, asked)

        DBOS.listen_queues(self._minds)
        with working(self._site):
            DBOS.launch()
            for mind in self._minds:
                await DBOS.register_queue_async(
                    mind,
                    worker_concurrency=self._concurrency,
                    polling_interval_sec=LOOK_SECONDS,
                    on_conflict="always_update",
                )

    async def stop(self, seconds: float) -> None:
        """Take nothing more, let what goes on end for at most so many seconds, and close all connections."""
        if self._pool is None:
            return
        # It looks once a second whether all has ended, and not at all if it is given no time.
        await asyncio.to_thread(DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=math.ceil(seconds))
        self._pool.dispose()
        _of_this_process.remove(self._worker)
