"""Clients that come while the first worker is still making the tables."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest

from contemplate.cluster import Client, link
from contemplate.cluster.engine.connection import connections
from contemplate.cluster.engine.run_queue import RunQueue
from contemplate.cluster.site import Site
from contemplate.cluster.submission import Submission
from contemplate.errors import ClusterBusy, ClusterError

from ..postgres import PostgresServer

migration = pytest.importorskip("dbos._migration", reason="dbos comes with the extra `cluster`")
pytestmark = pytest.mark.anyio
# Of the first only the table of runs is there, and not what was asked; after 122, one of its columns is missing.
ONLY_SOME = [1, 122]


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """A database on which no worker has ever run."""
    return postgres.address()


@pytest.fixture
def make(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Makes the tables as they are after so many steps; None for all."""

    def made(steps: int | None) -> None:
        site, every = Site.of(url), migration.get_dbos_migrations
        pool = connections(site, 2)
        with monkeypatch.context() as patched:
            patched.setattr(migration, "get_dbos_migrations", lambda *given: every(*given)[:steps])
            migration.ensure_dbos_schema(pool, site.engine_schema)
            migration.run_dbos_migrations(pool, site.engine_schema, False)
        pool.dispose()

    return made


@pytest.mark.parametrize("steps", ONLY_SOME)
async def test_who_submits_meanwhile_waits(
    url: str, make: Callable[[int | None], None], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await anyio.to_thread.run_sync(make, steps)
    submit, tried = RunQueue.submit, list[str]()

    def trying(self: RunQueue, run_id: str, asked: Submission, by: str) -> bool:
        if len(tried) == 1:
            make(None)
        tried.append(run_id)
        return submit(self, run_id, asked, by)

    monkeypatch.setattr(RunQueue, "submit", trying)
    async with Client(url) as client:
        handle = await client.submit("What?", mind="app:mind")
        assert await handle.state() == "queued"
    assert tried == [handle.run_id] * 2


@pytest.mark.parametrize("steps", ONLY_SOME)
async def test_who_has_waited_in_vain_is_told(
    url: str, make: Callable[[int | None], None], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await anyio.to_thread.run_sync(make, steps)
    monkeypatch.setattr(link, "PATIENCE", 0.0)
    async with Client(url) as client:
        with pytest.raises(ClusterBusy, match="just being made, or are those of an older version"):
            await client.submit("What?", mind="app:mind")


async def test_who_comes_before_any_worker_is_told_at_once(url: str) -> None:
    async with Client(url) as client:
        with pytest.raises(ClusterError, match="no worker has ever run"):
            await client.submit("What?", mind="app:mind")
