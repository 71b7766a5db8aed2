"""A worker that ends, or cannot start, leaves nothing open."""

from __future__ import annotations

import socket
from uuid import uuid4

import pytest

from contemplate.cluster.site import Site
from contemplate.cluster.worker import Worker
from contemplate.errors import ClusterError, ConfigurationError

from ..postgres import PostgresServer
from .stage import until, voters

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


def connected(site: Site, name: str) -> int:
    """How many connections of this name there are."""
    with site.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"
        ((number,),) = connection.execute(query, (name,)).fetchall()
    return int(number)


async def starts_and_ends(postgres: PostgresServer, metrics: str | None) -> tuple[Site, str]:
    """Let a worker start and end, and return where, and what its connections are called."""
    name = uuid4().hex
    site = Site.of(f"{postgres.address()}&application_name={name}")
    worker = Worker({"mind": voters}, site, concurrency=1, metrics=metrics)
    try:
        async with worker.working():
            assert connected(site, name) >= 1
    finally:
        await until(lambda: connected(site, name) == 0)
    return site, name


async def test_a_worker_that_ends_has_no_connection_left(postgres: PostgresServer) -> None:
    await starts_and_ends(postgres, None)


async def test_a_worker_that_cannot_serve_its_metrics_has_none(postgres: PostgresServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigurationError, match="metrics"):
        await starts_and_ends(postgres, str(taken.getsockname()[1]))


async def test_a_second_worker_in_a_process_has_none(workers: str, postgres: PostgresServer) -> None:
    with pytest.raises(ClusterError, match="there is a worker in this process"):
        await starts_and_ends(postgres, None)
