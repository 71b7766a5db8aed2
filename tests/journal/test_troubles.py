"""What PostgreSQL's errors mean, and how often it is said that it is away."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest

from contemplate.journal.postgres import outage
from contemplate.journal.postgres.outage import CALM, Outage
from contemplate.journal.postgres.troubles import FULL_HINT, REFUSED_HINT, hint_for, passes

AT = 'connection failed: connection to server at "auth.example", port 5432 failed: '


def connecting(said: str) -> psycopg.Error:
    """What psycopg raises where there is no connection: words, and no state."""
    return psycopg.OperationalError(AT + said)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (connecting("FATAL:  sorry, too many clients already"), FULL_HINT),
        (connecting("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER"), FULL_HINT),
        (connecting('FATAL:  too many connections for role "authentication"'), FULL_HINT),
        (connecting("FATAL:  no more connections allowed (max_client_conn)"), FULL_HINT),
        (connecting("FATAL:  the database system is starting up"), REFUSED_HINT),
        (connecting("FATAL:  the database system is not yet accepting connections"), REFUSED_HINT),
        (psycopg.errors.TooManyConnections("too many"), FULL_HINT),
        (psycopg.errors.AdminShutdown("terminating connection"), None),
        (psycopg.errors.CannotConnectNow("starting up"), None),
        (psycopg.errors.IdleInTransactionSessionTimeout("it stood still"), None),
    ],
)
def test_what_passes_does_so_whether_the_server_was_reached_or_not(error: psycopg.Error, hint: str | None) -> None:
    assert passes(error)
    assert passes(error, known=False)
    assert hint_for(error) == hint


@pytest.mark.parametrize("said", ["Connection refused", "timeout expired", "FATAL:  zu viele Verbindungen"])
def test_who_was_never_reached_is_another_one_than_was_meant(said: str) -> None:
    assert passes(connecting(said))
    assert not passes(connecting(said), known=False)
    assert hint_for(connecting(said)) == REFUSED_HINT


@pytest.mark.parametrize(
    "error",
    [
        connecting('FATAL:  password authentication failed for user "me"'),
        connecting('FATAL:  no pg_hba.conf entry for host "127.0.0.1", user "me"'),
        connecting('FATAL:  role "me" does not exist'),
        connecting('FATAL:  database "app" does not exist'),
        connecting("FATAL:  unsupported startup parameter in options: statement_timeout"),
        psycopg.errors.InvalidPassword("no"),
        psycopg.errors.InvalidCatalogName("no such database"),
        psycopg.errors.DatabaseDropped("dropped"),
        psycopg.errors.ProtocolViolation("what?"),
        psycopg.errors.UndefinedTable("no such table"),
        psycopg.ProgrammingError("no such option"),
    ],
)
def test_what_stays_as_it_is_is_told_at_once(error: psycopg.Error) -> None:
    assert not passes(error)


class Clock:
    """The time, as it is told to pass, and what is said meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 1000.0
        self._caplog = caplog
        monkeypatch.setattr(outage, "time", SimpleNamespace(monotonic=lambda: self.now))

    def said(self) -> list[str]:
        said = [each.getMessage() for each in self._caplog.records]
        self._caplog.clear()
        return said


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    return Clock(monkeypatch, caplog)


def test_an_outage_is_told_when_it_begins_and_ends_and_seldom_in_between(clock: Clock) -> None:
    away = Outage("the database")
    away.ended()
    assert clock.said() == []
    told = []
    for second in range(400):
        away.failed(OSError("it is\naway, postgresql://me:secret-word@h/db"))
        told += [(second, said) for said in clock.said()]
        clock.now += 1
    away.ended()
    away.ended()
    assert [second for second, _ in told] == [0, 1, 6, 36, 336]
    assert told[0][1].startswith("the database: OSError: it is away")
    assert told[2][1].endswith("(for 6 s)")
    assert "secret-word" not in told[0][1]
    assert clock.said() == ["the database: back after 400 s"]


def test_one_that_comes_and_goes_is_told_no_more_often(clock: Clock) -> None:
    away = Outage("the database")
    said = 0
    for _ in range(60):
        away.failed(OSError("away"))
        away.ended()
        said += len(clock.said())
        clock.now += 1
    assert said == 2 * 4
    clock.now += CALM
    away.failed(OSError("away"))
    assert clock.said() == ["the database: OSError: away"]
