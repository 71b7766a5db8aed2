"""The rate limits of accounts that many processes share, in the tables of a journal.

A row for each account says how it stands; the arithmetic is that of `models/wrappers/pacing.py`. A row for each call
that waits or is in flight, in the order of turns: runs take turns over all processes, as in start-time fair queueing
(Goyal, Vin and Cheng 1996). Whoever changes anything lets in all whose turn it is, also those of others, who find out
when they look. They are let in a little before they may start, so that they start in time.

A row for each gate, the calls of one process for an account, says until when it is taken to be alive. When that time is
over, it is suspected, and dead if it says nothing for a while longer: where the database itself was away, all are given
that time. The tables are made on first use, so that versions of this package that know nothing of them read the journal
as before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from pydantic import Field, ValidationError

from ..data import Data
from ..models.wrappers.pacing import CLOCK_SECONDS, AccountLimits, AccountState, Allowed, Pass
from ..models.wrappers.shared_accounts import LATE_START, End, Exchanged, Granted, Join, News, Turns
from . import opened_once
from .journal import Journal
from .patience import PATIENCE
from .store import SQLConnection

# Seconds for which a gate is taken to be alive, and which it has to say that it is when it is suspected.
LEASE = 9.0
SUSPECTED = 6.0
# As a part of it, what is left of a lease that is not renewed yet.
FRESH = 0.75
# How long before it may start a call is let in, in seconds.
AHEAD = 0.25
# So many calls are let in at once at most.
AT_ONCE = 256

_GATE = """
    INSERT INTO limit_gates (gate, account, expires, suspected) VALUES (?, ?, ?, 0)
    ON CONFLICT (gate) DO UPDATE SET expires = excluded.expires, suspected = 0
"""
_JOIN = """
    INSERT INTO limit_calls (call, account, gate, run, tokens, turn, arrival) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (call) DO NOTHING
"""
_WAITING = """
    SELECT call, gate, tokens, turn FROM limit_calls WHERE account = ? AND number IS NULL ORDER BY turn, arrival LIMIT ?
"""
_STATE = ("allowed", "state", "turn", "arrivals", "latest", "due", "head")
_SAVE = (
    f"INSERT INTO limit_accounts (account, {', '.join(_STATE)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
    f"ON CONFLICT (account) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _STATE)}"
)


class AccountStatus(Data):
    """An account at a glance.

    Args:
        account: its name.
        requests_per_minute, tokens_per_minute, concurrency: its limits; None without one.
        processes: how many have calls, or had some a moment ago.
        in_flight: how many calls are in flight.
        waiting: how many wait.
        accepted: how many calls at once the provider seems to accept, if it has refused some.
        requests_left, tokens_left: how much is left at once; None without a limit.
        paused_seconds: for how long the provider has asked to wait.
    """

    account: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    processes: int = 0
    in_flight: int = 0
    waiting: int = 0
    accepted: int | None = None
    requests_left: int | None = None
    tokens_left: int | None = None
    paused_seconds: float = Field(default=0.0, ge=0)


@dataclass(slots=True)
class _Account:
    """The row of an account.

    Attributes:
        turn: the last turn that somebody had.
        arrivals: how many calls have come.
        latest: when the last call that was let in may start.
        due: when an exchange may let somebody in, or find that a gate is dead.
        head: the gate whose call is the next; empty if none waits.
    """

    allowed: Allowed
    pace: AccountLimits
    turn: int = 0
    arrivals: int = 0
    latest: float = 0.0
    due: float = inf
    head: str = ""


class JournalAccounts:
    """The accounts in a journal. See `SharedAccounts`."""

    lease = LEASE

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def key(self) -> Hashable:
        """What is equal for two journals that are the same."""
        return self._journal.key or self._journal

    def exchange(self, account: str, gate: str, news: News, patience: float) -> Exchanged:
        """Tell what is new, let in whoever's turn it is, and return how the account stands."""
        store = self._journal.store

        def write(connection: SQLConnection) -> Exchanged:
            store.make(connection, "limits")
            store.lock(connection, f"limit {account}")
            store.commit_asynchronously(connection)
            now = store.now(connection)
            found = self._account(connection, account, news, now)
            gates, expires = _renewed(connection, account, gate, found.pace, now)
            _end(connection, news.ends, found.pace, now)
            _join(connection, account, gate, news.joins, found)
            _let_in(connection, account, found, now)
            found.due = min(found.due, expires)
            _save(connection, account, found)
            turns = _turns(connection, gate, news.waiting, found.due, found.head, now)
            return Exchanged(turns, found.pace.window.out, gates)

        # What is told a second time makes no difference.
        return store.write(write, patience)

    def look(self, account: str, gate: str, waiting: Sequence[str], patience: float) -> Turns:
        """Return whose turn it is, as others may have let calls in."""
        store = self._journal.store

        def read(connection: SQLConnection) -> Turns:
            if not store.has(connection, "limits"):
                return Turns({}, waiting)
            row = connection.execute("SELECT due, head FROM limit_accounts WHERE account = ?", (account,)).fetchone()
            due, head = row or (None, "")
            return _turns(connection, gate, waiting, inf if due is None else due, head, store.now(connection))

        return store.read(read, patience)

    def status(self) -> list[AccountStatus]:
        """Return the accounts at a glance, by name. Blocks.

        Raises:
            JournalError: the journal cannot be read.
        """
        store = self._journal.store

        def read(connection: SQLConnection) -> list[AccountStatus]:
            if not store.has(connection, "limits"):
                return []
            now = store.now(connection)
            waiting = _counts(connection, "limit_calls WHERE number IS NULL")
            gates = _counts(connection, "limit_gates")
            rows = connection.execute("SELECT account, allowed, state FROM limit_accounts ORDER BY account").fetchall()
            return [
                _status(name, *self._read(name, allowed, state), waiting.get(name, 0), gates.get(name, 0), now)
                for name, allowed, state in rows
            ]

        return store.read(read, PATIENCE)

    def _account(self, connection: SQLConnection, account: str, news: News, now: float) -> _Account:
        query = "SELECT allowed, state, turn, arrivals, latest FROM limit_accounts WHERE account = ?"
        row = connection.execute(query, (account,)).fetchone()
        if row is None:
            return _Account(news.allowed, AccountLimits(*news.allowed, late=LATE_START))
        allowed, state, turn, arrivals, latest = row
        said, found = self._read(account, allowed, state)
        allowed = news.allowed if news.says_so else said
        # Where the clock was set back, nobody waits until it is there again.
        pace = AccountLimits(*allowed, found.no_later_than(now + AHEAD), LATE_START)
        return _Account(allowed, pace, turn, arrivals, min(latest, now + AHEAD))

    def _read(self, account: str, allowed: str, state: str) -> tuple[Allowed, AccountState]:
        try:
            return Allowed(*json.loads(allowed)), AccountState.model_validate_json(state)
        except (TypeError, ValueError, ValidationError) as error:
            raise self._journal.store.damaged(f"the limits of account {account!r} cannot be understood") from error


def accounts_in(journal: str | Journal) -> JournalAccounts:
    """Return the accounts in a journal.

    Raises:
        ConfigurationError: the name of the journal has no known form.
        MissingDependencyError: it is in PostgreSQL, and the extra "cluster" is not installed.
    """
    return JournalAccounts(opened_once(journal))


def _renewed(connection: SQLConnection, account: str, gate: str, pace: AccountLimits, now: float) -> tuple[int, float]:
    """Say that a gate lives, end the calls of those that are dead, and return how many live, and when to look again."""
    query = "SELECT gate, expires, suspected FROM limit_gates WHERE account = ?"
    expiries = {gate: 0.0}
    dead: list[str] = []
    suspects: list[str] = []
    for name, expires, suspected in connection.execute(query, (account,)).fetchall():
        expiries[name] = expires
        if name != gate and expires <= now:
            (dead if suspected else suspects).append(name)
    if expiries[gate] < now + FRESH * LEASE:
        expiries[gate] = now + LEASE
        connection.execute(_GATE, (gate, account, now + LEASE))
    for name in suspects:
        expiries[name] = now + SUSPECTED
        connection.execute("UPDATE limit_gates SET expires = ?, suspected = 1 WHERE gate = ?", (now + SUSPECTED, name))
    for name in dead:
        del expiries[name]
        connection.execute("DELETE FROM limit_gates WHERE gate = ?", (name,))
        query = "SELECT call, number, tokens, probe FROM limit_calls WHERE gate = ?"
        for row in connection.execute(query, (name,)).fetchall():
            if (permit := _pass(*row)) is not None:
                pace.ended(permit, now)
        connection.execute("DELETE FROM limit_calls WHERE gate = ?", (name,))
    return len(expiries), min(expiries.values())


def _end(connection: SQLConnection, ends: Sequence[End], pace: AccountLimits, now: float) -> None:
    """Note what became of calls. Who waits can only be `unused`; of whom nobody knows, nothing is noted."""
    rows = _of(connection, "call, number, tokens, probe", {end.call for end in ends})
    permits = {row[0]: _pass(*row) for row in rows}
    for end in ends:
        if (permit := permits.get(end.call)) is None:
            continue
        match end.how:
            case "heard":
                pace.heard(permit)
                continue
            case "answered":
                pace.answered(permit, now, calls=end.calls, tokens=end.tokens)
            case "refused":
                pace.refused(permit, now, end.retry_after)
            case "ended":
                pace.ended(permit, now)
            case "unused":
                pace.unused(permit, now)
        # Once.
        permits[end.call] = None
    over = [(end.call,) for end in ends if end.how != "heard"]
    if over:
        connection.executemany("DELETE FROM limit_calls WHERE call = ?", over)


def _join(connection: SQLConnection, account: str, gate: str, joins: Sequence[Join], found: _Account) -> None:
    """Let calls wait, each one turn after the one before it in its run, or after the last one that was had."""
    last: dict[str, int] = {}
    query = "SELECT max(turn) FROM limit_calls WHERE account = ? AND run = ? AND number IS NULL"
    for run in {join.run for join in joins}:
        row = connection.execute(query, (account, run)).fetchone()
        last[run] = max(found.turn, row[0] or 0) if row is not None else found.turn
    rows = []
    for join in joins:
        last[join.run] += 1
        found.arrivals += 1
        rows.append((join.call, account, gate, join.run, join.tokens, last[join.run], found.arrivals))
    if rows:
        connection.executemany(_JOIN, rows)


def _let_in(connection: SQLConnection, account: str, found: _Account, now: float) -> None:
    """Let in those whose turn it is, up to the first that has to wait, and find out for how long."""
    found.due, found.head = inf, ""
    permits = []
    waiting = connection.execute(_WAITING, (account, AT_ONCE)).fetchall()
    # In the order of their turns, so that time never goes back.
    at = max(now, found.latest)
    for call, gate, tokens, turn in waiting:
        delay = found.pace.delay(tokens, at)
        if at + delay > now + AHEAD + CLOCK_SECONDS:
            found.due, found.head = at + delay - AHEAD, gate
            break
        at += delay
        permit = found.pace.enter(tokens, at)
        found.turn, found.latest = turn, at
        permits.append((permit.number, int(permit.probe), at, call))
    else:
        if len(waiting) == AT_ONCE:
            found.due, found.head = now, waiting[-1][1]
    if permits:
        connection.executemany("UPDATE limit_calls SET number = ?, probe = ?, starts = ? WHERE call = ?", permits)


def _save(connection: SQLConnection, account: str, found: _Account) -> None:
    state = found.pace.state.model_dump_json(exclude_defaults=True)
    due = None if found.due == inf else found.due
    row = (json.dumps(found.allowed), state, found.turn, found.arrivals, found.latest, due, found.head)
    connection.execute(_SAVE, (account, *row))


def _turns(connection: SQLConnection, gate: str, waiting: Collection[str], due: float, head: str, now: float) -> Turns:
    rows = _of(connection, "call, number, tokens, probe, starts", waiting)
    granted = {
        call: Granted(permit, starts - now)
        for call, number, tokens, probe, starts in rows
        if (permit := _pass(call, number, tokens, probe)) is not None
    }
    there = {row[0] for row in rows}
    return Turns(granted, [call for call in waiting if call not in there], due - now, head == gate)


def _of(connection: SQLConnection, columns: str, calls: Collection[str]) -> list[tuple[Any, ...]]:
    if not calls:
        return []
    places = ", ".join("?" * len(calls))
    return connection.execute(f"SELECT {columns} FROM limit_calls WHERE call IN ({places})", tuple(calls)).fetchall()  # noqa: S608


def _counts(connection: SQLConnection, rows: str) -> dict[str, int]:
    counted = connection.execute(f"SELECT account, count(*) FROM {rows} GROUP BY account")  # noqa: S608
    return {str(account): int(number) for account, number in counted}


def _pass(call: str, number: int | None, tokens: float, probe: int) -> Pass | None:
    """Return the permit of a call that was let in."""
    return None if number is None else Pass(number, tokens, bool(probe), call)


def _status(account: str, allowed: Allowed, state: AccountState, waiting: int, gates: int, now: float) -> AccountStatus:
    pace = AccountLimits(*allowed, state, LATE_START)
    # The delay of nothing brings them up to now.
    for meter in (pace.requests, pace.tokens):
        meter.delay(0.0, now)
    return AccountStatus(
        account=account,
        requests_per_minute=allowed.requests,
        tokens_per_minute=allowed.tokens,
        concurrency=allowed.concurrency,
        processes=gates,
        in_flight=state.out,
        waiting=waiting,
        accepted=None if state.size is None else int(state.size),
        requests_left=None if allowed.requests is None else max(0, int(pace.requests.level)),
        tokens_left=None if allowed.tokens is None else max(0, int(pace.tokens.level)),
        paused_seconds=max(0.0, (state.paused_until or now) - now),
    )
