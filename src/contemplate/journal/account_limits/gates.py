"""The rows of gates: which processes are alive, and what is left of those that are dead."""

from __future__ import annotations

from ...models.wrappers.rate_limit import AccountLimits
from ..store import SQLConnection
from .calls import PERMIT, permit_of

# Seconds for which a gate is taken to be alive, and which it has to say that it is when it is suspected.
LEASE = 9.0
SUSPECTED = 6.0
# As a part of it, what is left of a lease that is not renewed yet.
FRESH = 0.75

_GATE = """
    INSERT INTO limit_gates (gate, account, expires, suspected) VALUES (?, ?, ?, 0)
    ON CONFLICT (gate) DO UPDATE SET expires = excluded.expires, suspected = 0
"""


def renewed(connection: SQLConnection, account: str, gate: str, pace: AccountLimits, now: float) -> tuple[int, float]:
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
        query = f"SELECT {PERMIT} FROM limit_calls WHERE gate = ?"  # noqa: S608
        for row in connection.execute(query, (name,)).fetchall():
            if (permit := permit_of(*row)) is not None:
                pace.ended(permit, now)
        connection.execute("DELETE FROM limit_calls WHERE gate = ?", (name,))
    return len(expiries), min(expiries.values())
