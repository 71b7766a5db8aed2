"""Processes that are killed: a few of `python -m benchmarks.kill`."""

from __future__ import annotations

import pytest

from benchmarks import kill

from ..postgres import PostgresServer


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_nothing_is_paid_for_twice(where: str, request: pytest.FixtureRequest) -> None:
    name = None
    if where == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        name = server.address(heartbeat=0.3)
    kills = 5 if name is None else 3
    report = kill.main(kills=kills, seed=1, journal=name)
    assert report.kills.total() == kills
    assert report.kept
    assert report.runs == report.equal > 0
