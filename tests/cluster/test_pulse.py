"""The heartbeat of a worker whose database, or whose queues, are not to be had."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from contemplate.cluster import roster
from contemplate.cluster.pulse import Pulse
from contemplate.cluster.roster import this_worker
from contemplate.cluster.site import Site
from contemplate.errors import ClusterError

from ..patience import PATIENCE
from ..postgres import PostgresServer

BEATS = 4


class NoQueues:
    """Queues to which there is no connection."""

    def holders(self) -> set[str]:
        raise ClusterError("too many connections")


@contextmanager
def pulse_at(
    site: Site, heartbeat: float, monkeypatch: pytest.MonkeyPatch, on_connect: Callable[[], None]
) -> Iterator[Pulse]:
    """Lend the pulse of a worker without runs, and call `on_connect` before it connects."""
    connect, worker = Site.connect, this_worker(("mind",), 1, heartbeat)

    def counted(self: Site, *, autocommit: bool = False) -> psycopg.Connection[Any]:
        on_connect()
        return connect(self, autocommit=autocommit)

    pulse = Pulse(site, NoQueues(), lambda: worker, tuple, lambda runs: None)  # type: ignore[arg-type]
    with monkeypatch.context() as patched:
        patched.setattr(Site, "connect", counted)
        try:
            yield pulse
        finally:
            pulse.stop()


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
    with pulse_at(site, 0.04, monkeypatch, lambda: made.append(1)) as pulse:
        pulse.enroll()
        pulse.start()
        assert enough.wait(PATIENCE)
    assert len(made) == 1, "a connection that works is kept: others might have its place"


def test_who_is_woken_while_the_database_is_away_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried, twice = [0], threading.Event()

    def away() -> None:
        tried[0] += 1
        if tried[0] >= 2:
            twice.set()
        raise psycopg.OperationalError("away")

    with pulse_at(Site.of("postgresql://127.0.0.1:1/db"), 0.04, monkeypatch, away) as pulse:
        pulse.now()
        pulse.start()
        assert twice.wait(PATIENCE)
        assert select.select([pulse._woken], [], [], 0)[0] == []
