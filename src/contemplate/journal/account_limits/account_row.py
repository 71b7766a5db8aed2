"""The row of an account: how it stands, and whose turn it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import inf

from pydantic import ValidationError

from ...models.wrappers.rate_limit import LATE_START, AccountLimits, AccountState, Allowed, News
from ..store import SQLConnection, Store

# How long before it may start a call is let in, in seconds.
AHEAD = 0.25

_STATE = ("allowed", "state", "turn", "arrivals", "latest", "due", "head")
_SAVE = (
    f"INSERT INTO limit_accounts (account, {', '.join(_STATE)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
    f"ON CONFLICT (account) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _STATE)}"
)


@dataclass(slots=True)
class AccountRow:
    """An account, as its row has it.

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


def load(store: Store, connection: SQLConnection, account: str, news: News, now: float) -> AccountRow:
    """Return how an account stands, by the limits that `news` names if it says so.

    Raises:
        JournalError: its row cannot be understood.
    """
    query = "SELECT allowed, state, turn, arrivals, latest FROM limit_accounts WHERE account = ?"
    row = connection.execute(query, (account,)).fetchone()
    if row is None:
        return AccountRow(news.allowed, AccountLimits(*news.allowed, late=LATE_START))
    allowed, state, turn, arrivals, latest = row
    said, found = understood(store, account, allowed, state)
    allowed = news.allowed if news.says_so else said
    # Where the clock was set back, nobody waits until it is there again.
    pace = AccountLimits(*allowed, found.no_later_than(now + AHEAD), LATE_START)
    return AccountRow(allowed, pace, turn, arrivals, min(latest, now + AHEAD))


def save(connection: SQLConnection, account: str, found: AccountRow) -> None:
    """Write down how an account stands."""
    state = found.pace.state.model_dump_json(exclude_defaults=True)
    due = None if found.due == inf else found.due
    row = (json.dumps(found.allowed), state, found.turn, found.arrivals, found.latest, due, found.head)
    connection.execute(_SAVE, (account, *row))


def understood(store: Store, account: str, allowed: str, state: str) -> tuple[Allowed, AccountState]:
    """Return what the columns of an account's row say.

    Raises:
        JournalError: they cannot be understood.
    """
    try:
        return Allowed(*json.loads(allowed)), AccountState.model_validate_json(state)
    except (TypeError, ValueError, ValidationError) as error:
        raise store.damaged(f"the limits of account {account!r} cannot be understood") from error
