"""The heartbeat of a worker whose database, or whose queues, are not to be had."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from contemplate.cluster import pulse, roster
from contemplate.cluster.pulse import Pulse
from contemplate.cluster.roster import this_worker
from contemplate.cluster.site import Site
from contemplate.errors import ClusterError
from contemplate.journal.postgres import outage

from ..patience import PATIENCE
from ..postgres import PostgresServer
from ..proxy import Proxy
from .stage import wait_until

BEATS = 4


class EmptyQueues:
    """Queues of which nobody has a run."""

    def holders(self) -> set[str]:
        return set()


class NoQueues:
    """Queues to which there is no connection."""

    def holders(self) -> set[str]:
        raise ClusterError("too many connections")


@contextmanager
def pulse_at(
    site: Site, heartbeat: float, monkeypatch: pytest.MonkeyPatch, on_connect: Callable[[], None], queues: object = None
) -> Iterator[Pulse]:
    """Lend the pulse of a worker without runs, and call `on_connect` before it connects."""
    connect, worker = Site.connect, this_worker(("mind",), 1, heartbeat)

    def counted(self: Site, *, autocommit: bool = False) -> psycopg.Connection[Any]:
        on_connect()
        return connect(self, autocommit=autocommit)

    beating = Pulse(site, queues or NoQueues(), lambda: worker, tuple, lambda runs: None)  # type: ignore[arg-type]
    with monkeypatch.context() as patched:
        patched.setattr(Site, "connect", counted)
        try:
            yield beating
        finally:
            beating.stop()


def test_who_cannot_reach_the_queues_goes_on_saying_that_it_lives(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site.of(postgres.address())
    journal = site.journal()
    journal.load("")
    journal.close()
    made: list[int] = []
    beaten, enough, beat = [0], threading.Event(), roster.beat

    def counted(*args: Any) -> bool:
        beaten[0] += 1
        if beaten[0] >= BEATS:
            enough.set()
        return beat(*args)

    monkeypatch.setattr(roster, "beat", counted)
    with pulse_at(site, 0.04, monkeypatch, lambda: made.append(1)) as beating:
        beating.enroll()
        beating.start()
        assert enough.wait(PATIENCE)
    assert len(made) == 1, "a connection that works is kept: others might have its place"


def test_who_changes_what_holds_for_all_says_so(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site.of(postgres.address())
    journal = site.journal()
    journal.load("")
    journal.close()
    with site.connect(autocommit=True) as connection:
        roster.create(connection, site)
        for minds, concurrency, heartbeat in (("mind",), 2, 300.0), (("mind",), 1, 300.0), (("other",), 3, 300.0):
            roster.beat(connection, site, this_worker(minds, concurrency, heartbeat))
    with pulse_at(site, 300.0, monkeypatch, lambda: None) as beating:
        beating.enroll()
    (said,) = [each.getMessage() for each in caplog.records if each.name == "contemplate"]
    assert said.startswith("concurrency=1 holds for all workers from now on")
    assert said.count(" for mind on ") == 1
    assert "2 for mind on " in said


def test_who_is_woken_while_the_database_is_away_looks_once_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outage, "time", SimpleNamespace(monotonic=lambda: 0.0))
    tried, again = [0], threading.Event()

    def away() -> None:
        tried[0] += 1
        if tried[0] >= 3:
            again.set()
        raise psycopg.OperationalError("away")

    with pulse_at(Site.of("postgresql://127.0.0.1:1/db"), 0.04, monkeypatch, away) as beating:
        beating.now()
        beating.start()
        assert again.wait(PATIENCE)
        assert select.select([beating._woken], [], [], 0)[0] == []
    assert [each.getMessage() for each in caplog.records] == ["the cluster's database: OperationalError: away"]


def test_a_database_that_does_not_answer_is_away(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    direct = Site.of(postgres.address(schema="silent"))
    journal = direct.journal()
    journal.load("")
    journal.close()
    monkeypatch.setattr(pulse, "ANSWER_SECONDS", 0.1)
    with closing(Proxy(postgres.port)) as proxy:
        silent = Site.of(postgres.address(schema="silent", port=proxy.port))
        with pulse_at(silent, 0.04, monkeypatch, lambda: None, EmptyQueues()) as beating:
            beating.enroll()
            beating.start()
            proxy.hold()
            wait_until(lambda: any("the server does not answer" in each.getMessage() for each in caplog.records))
            proxy.open()
            wait_until(lambda: "back after" in caplog.records[-1].getMessage())
