"""Accounts at a glance."""

from __future__ import annotations

from pydantic import Field

from ...data import Data
from ...models.wrappers.rate_limit import LATE_START, AccountLimits, AccountState, Allowed
from ..store import SQLConnection, Store
from .account_row import understood


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


def statuses(store: Store, connection: SQLConnection) -> list[AccountStatus]:
    """Return the accounts at a glance, by name.

    Raises:
        JournalError: the row of one cannot be understood.
    """
    if not store.has(connection, "limits"):
        return []
    now = store.now(connection)
    waiting = _counts(connection, "limit_calls WHERE number IS NULL")
    gates = _counts(connection, "limit_gates")
    rows = connection.execute("SELECT account, allowed, state FROM limit_accounts ORDER BY account").fetchall()
    return [
        _status(name, *understood(store, name, allowed, state), waiting.get(name, 0), gates.get(name, 0), now)
        for name, allowed, state in rows
    ]


def _counts(connection: SQLConnection, rows: str) -> dict[str, int]:
    counted = connection.execute(f"SELECT account, count(*) FROM {rows} GROUP BY account")  # noqa: S608
    return {str(account): int(number) for account, number in counted}


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
