"""The rows of calls, which wait or are in flight."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf
from typing import Any

from ...models.wrappers.rate_limit import CLOCK_SECONDS, AccountLimits, End, Granted, Join, Pass, Turns
from ..store import SQLConnection
from .account_row import AHEAD, AccountRow

# So many calls are let in at once at most.
AT_ONCE = 256
# Of what columns there is a permit.
PERMIT = "call, number, tokens, probe, starts"

_JOIN = """
    INSERT INTO limit_calls (call, account, gate, run, tokens, turn, arrival) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (call) DO NOTHING
"""
_WAITING = """
    SELECT call, gate, tokens, turn FROM limit_calls WHERE account = ? AND number IS NULL ORDER BY turn, arrival LIMIT ?
"""


def end_calls(connection: SQLConnection, ends: Sequence[End], pace: AccountLimits, now: float) -> None:
    """Note what became of calls. Who waits can only be `unused`; of whom nobody knows, nothing is noted."""
    rows = _called(connection, PERMIT, {end.call for end in ends})
    permits = {row[0]: permit_of(*row) for row in rows}
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


def add_calls(connection: SQLConnection, account: str, gate: str, joins: Sequence[Join], found: AccountRow) -> None:
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


def let_in(connection: SQLConnection, account: str, found: AccountRow, now: float) -> None:
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


def turns(connection: SQLConnection, gate: str, waiting: Collection[str], due: float, head: str, now: float) -> Turns:
    """Return whose turn it is, of the calls of a gate that wait."""
    rows = _called(connection, PERMIT, waiting)
    granted = {permit.call: Granted(permit, permit.at - now) for row in rows if (permit := permit_of(*row)) is not None}
    there = {row[0] for row in rows}
    return Turns(granted, [call for call in waiting if call not in there], due - now, head == gate)


def permit_of(call: str, number: int | None, tokens: float, probe: int, starts: float) -> Pass | None:
    """Return the permit of a call that was let in."""
    return None if number is None else Pass(number, tokens, bool(probe), starts, call)


def _called(connection: SQLConnection, columns: str, calls: Collection[str]) -> list[tuple[Any, ...]]:
    if not calls:
        return []
    places = ", ".join("?" * len(calls))
    return connection.execute(f"SELECT {columns} FROM limit_calls WHERE call IN ({places})", tuple(calls)).fetchall()  # noqa: S608
