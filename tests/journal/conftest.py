"""Journals on both databases, for promises that both keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contemplate.journal import Journal, open_journal

from ..postgres import PostgresServer, binaries

Opened = Callable[[], Journal]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server, which the tests of one process share."""
    pytest.importorskip("psycopg", reason="psycopg comes with the extra `cluster`")
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: journals are tried in SQLite alone")
    server = PostgresServer(programs)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a journal."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runs.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.address()


@pytest.fixture
def opened(name: str) -> Iterator[Opened]:
    """Opens the same journal each time, as another process would."""
    journals: list[Journal] = []

    def another() -> Journal:
        journals.append(open_journal(name))
        return journals[-1]

    yield another
    for journal in journals:
        journal.close()
