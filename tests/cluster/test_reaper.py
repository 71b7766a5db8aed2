"""Who is thought dead: by what each worker sees of the others, and by no clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from contemplate import __version__
from contemplate.cluster import roster
from contemplate.cluster.engine.run_queue import QueuedRun
from contemplate.cluster.reaper import SILENT_LOOKS, Reaper
from contemplate.cluster.roster import WorkerInfo, this_worker
from contemplate.cluster.site import Site
from contemplate.journal import open_journal

from ..postgres import PostgresServer
from .stage import wait_until


class Queue:
    """Queues in which workers have a run each."""

    def __init__(self, *workers: str) -> None:
        self.runs = {f"run of {worker}": worker for worker in workers}
        self.given: list[str] = []

    def holders(self) -> set[str]:
        return set(self.runs.values())

    def runs_of(self, workers: set[str]) -> list[QueuedRun]:
        return [QueuedRun(run, "running", "mind", each) for run, each in self.runs.items() if each in workers]

    def give_back(self, run_ids: list[str], mind: str) -> None:
        self.given += run_ids
        for run_id in run_ids:
            del self.runs[run_id]


@pytest.fixture
def site(postgres: PostgresServer) -> Site:
    return Site.of(postgres.address())


@pytest.fixture
def connection(site: Site) -> Iterator[psycopg.Connection[Any]]:
    journal = site.journal()
    journal.load("")
    journal.close()
    with site.connect(autocommit=True) as opened:
        roster.create(opened, site)
        yield opened


@pytest.fixture
def worker(site: Site, connection: psycopg.Connection[Any]) -> WorkerInfo:
    worker = this_worker(("mind",), 1, 5.0)
    assert not roster.beat(connection, site, worker)
    return worker


def test_who_says_nothing_is_dead_after_some_looks(
    site: Site, connection: psycopg.Connection[Any], worker: WorkerInfo
) -> None:
    queue = Queue(worker.worker)
    reaper = Reaper(site, queue)  # type: ignore[arg-type]
    for _ in range(SILENT_LOOKS):
        assert reaper.look(connection) == []
    assert reaper.look(connection) == queue.given == [f"run of {worker.worker}"]
    assert roster.workers(connection, site) == []
    # One that was thought dead is there again once it says so.
    assert not roster.beat(connection, site, worker)
    assert reaper.look(connection) == []


def test_who_says_something_now_and_then_is_alive(
    site: Site, connection: psycopg.Connection[Any], worker: WorkerInfo
) -> None:
    queue = Queue(worker.worker)
    reaper = Reaper(site, queue)  # type: ignore[arg-type]
    for look in range(4 * SILENT_LOOKS):
        if look % SILENT_LOOKS == 0:
            assert roster.beat(connection, site, worker)
        assert reaper.look(connection) == []


def test_nobody_is_dead_because_who_looks_stood_still(
    site: Site, connection: psycopg.Connection[Any], worker: WorkerInfo
) -> None:
    reaper = Reaper(site, Queue(worker.worker))  # type: ignore[arg-type]
    for _ in range(4 * SILENT_LOOKS):
        assert reaper.look(connection) == []
        reaper.forget()


def test_what_nobody_has_any_more_is_given_back_at_once(
    site: Site, connection: psycopg.Connection[Any], worker: WorkerInfo
) -> None:
    queue = Queue(worker.worker, "one that has gone")
    assert Reaper(site, queue).look(connection) == ["run of one that has gone"]  # type: ignore[arg-type]
    assert queue.holders() == {worker.worker}


def test_the_table_of_an_older_version_is_read_and_made_new(site: Site, connection: psycopg.Connection[Any]) -> None:
    worker = this_worker(("mind",), 1, 5.0)
    roster.beat(connection, site, worker)
    connection.execute(f"ALTER TABLE {site.schema}.workers DROP COLUMN version".encode())
    assert [each.version for each in roster.workers(connection, site)] == [""]
    roster.create(connection, site)
    roster.create(connection, site)
    roster.beat(connection, site, this_worker(("mind",), 1, 5.0))
    assert [each.version for each in roster.workers(connection, site)] == ["", __version__]


def test_one_at_a_time_gives_back(site: Site, connection: psycopg.Connection[Any]) -> None:
    queue = Queue("one that has gone")
    with site.connect(autocommit=True) as other:
        key = f"{site.schema}/reaping"
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (key,))
        assert Reaper(site, queue).look(connection) == []  # type: ignore[arg-type]
        other.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (key,))
    assert Reaper(site, queue).look(connection) == ["run of one that has gone"]  # type: ignore[arg-type]


def test_a_worker_is_removed_only_if_it_said_nothing_since(
    site: Site, connection: psycopg.Connection[Any], worker: WorkerInfo
) -> None:
    before = roster.beats(connection, site)[worker.worker]
    roster.beat(connection, site, worker)
    assert not roster.remove(connection, site, worker.worker, before)
    (found,) = roster.workers(connection, site)
    assert found.alive
    assert str(found) == f"mind on {worker.host} (process {worker.pid})"
    assert roster.remove(connection, site, worker.worker, before + 1)
    assert open_journal(site.url).name == site.name


def test_one_that_stands_still_while_it_gives_back_keeps_nobody_from_it(
    site: Site, connection: psycopg.Connection[Any]
) -> None:
    class Still(Queue):
        def give_back(self, run_ids: list[str], mind: str) -> None:
            # By now others have done it, as the server has ended what stood still.
            wait_until(lambda: Reaper(site, others).look(connection) == ["run of one that has gone"])  # type: ignore[arg-type]

    others = Queue("one that has gone")
    with site.connect(autocommit=True) as still, pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        still.execute("SET idle_in_transaction_session_timeout = '10ms'")
        Reaper(site, Still("one that has gone")).look(still)  # type: ignore[arg-type]
    assert others.given == ["run of one that has gone"]


@pytest.mark.parametrize(("parameters", "ends"), [("heartbeat=1", "5s"), ("heartbeat=20&options=-c%20geqo=off", "40s")])
def test_what_a_worker_has_locked_is_free_when_it_stands_still(
    postgres: PostgresServer, parameters: str, ends: str
) -> None:
    address = postgres.address()
    with Site.of(f"{address}{'&' if '?' in address else '?'}{parameters}").connect() as connection:
        (found,) = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() or ()
        (geqo,) = connection.execute("SHOW geqo").fetchone() or ()
    assert (found, geqo) == (ends, "off" if "geqo" in parameters else "on")
