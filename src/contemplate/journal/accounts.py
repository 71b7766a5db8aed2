"""The accounts of budgets in a journal, which many processes share.

The tables are made on first use and belong to budgets alone, so that versions of this package that know nothing of them
read the journal as before. A reservation and a run have a lease, which a process renews while it lives. Whose lease is
over is dead, or stands still: what it had reserved counts as spent, as its calls may have been paid for, until it comes
back and books what they really used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..accounts import ZERO, Amounts, Settlement, Standing
from ..errors import JournalError
from .journal import Journal
from .store import SQLConnection

LEASE = 30.0

_KEY = "budget = ? AND seconds = ?"
_JOIN = """
    INSERT INTO budget_runs (run, budget, seconds, expires) VALUES (?, ?, ?, ?)
    ON CONFLICT (run) DO UPDATE SET budget = excluded.budget, seconds = excluded.seconds, expires = excluded.expires
"""
_RESERVE = """
    INSERT INTO budget_reserved (name, budget, seconds, opened, run, calls, tokens, cost_usd, expires)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADDED = ", ".join(f"{name} = budget_spent.{name} + excluded.{name}" for name in ("calls", "tokens", "cost_usd"))
_SPEND = (
    "INSERT INTO budget_spent (budget, seconds, opened, calls, tokens, cost_usd) VALUES (?, ?, ?, ?, ?, ?) "  # noqa: S608
    f"ON CONFLICT (budget, seconds, opened) DO UPDATE SET {_ADDED}"
)

T = TypeVar("T")


class JournalAccount:
    """An account in the tables of a journal.

    Args:
        journal: the journal.
        budget: the name of the budget.
        seconds: the length of its windows; 0 where there is one for good.
    """

    def __init__(self, journal: Journal, budget: str, seconds: float) -> None:
        self.shared = journal.key is not None
        self.remote = journal.remote
        self.changed: set[Callable[[], None]] = set()
        self._journal = journal
        self._key = (budget, seconds)
        # The number of the file in which each run of this process draws.
        self._files: dict[str, int] = {}

    def join(self, opened: float, run: str, patience: float) -> Standing:
        """Count `run` among those that draw, and return how the account stands."""

        def write(connection: SQLConnection, now: float) -> Standing:
            _, seconds = self._key
            connection.execute(f"DELETE FROM budget_runs WHERE {_KEY} AND expires <= ?", (*self._key, now))  # noqa: S608
            for table in ("budget_spent", "budget_reserved"):
                # A call that began in the window before this one may still be settled.
                over = f"DELETE FROM {table} WHERE {_KEY} AND opened < ?"  # noqa: S608
                connection.execute(over, (*self._key, opened - seconds))
            connection.execute(_JOIN, (run, *self._key, now + LEASE))
            self._files[run] = self._journal.store.files
            return self._standing(connection, opened, run, now)

        return self._write(write, run, patience)

    def look(self, opened: float, run: str, patience: float) -> Standing:
        """Return how the account stands."""
        store = self._journal.store

        def read(connection: SQLConnection) -> Standing:
            self._check_file(run)
            if not store.has(connection, "budgets"):
                return Standing(ZERO, ZERO, ZERO, 1)
            return self._standing(connection, opened, run, store.now(connection))

        return store.read(read, patience)

    def reserve(
        self, opened: float, run: str, name: str, amounts: Amounts, most: Amounts, patience: float
    ) -> Standing | None:
        """Reserve `amounts` if they fit; else return how the account stands."""

        def write(connection: SQLConnection, now: float) -> Standing | None:
            standing = self._standing(connection, opened, run, now)
            if not (standing.spent + standing.out + amounts).fits(most):
                return standing
            connection.execute(_RESERVE, (name, *self._key, opened, run, *_row(amounts), now + LEASE))
            return None

        return self._write(write, run, patience)

    def settle(self, settlements: Sequence[Settlement], patience: float) -> None:
        """End reservations, and book what was spent."""

        def write(connection: SQLConnection, now: float) -> None:
            for name, opened, spent in settlements:
                connection.execute("DELETE FROM budget_reserved WHERE name = ?", (name,))
                connection.execute(_SPEND, (*self._key, opened, *_row(spent)))

        self._write(write, None, patience)
        self._tell()

    def renew(self, run: str, patience: float) -> None:
        """Say that `run` and its calls are still there."""

        def write(connection: SQLConnection, now: float) -> None:
            connection.execute(_JOIN, (run, *self._key, now + LEASE))
            connection.execute("UPDATE budget_reserved SET expires = ? WHERE run = ?", (now + LEASE, run))

        self._write(write, run, patience)

    def leave(self, run: str, patience: float) -> None:
        """Count `run` no longer."""
        self._files.pop(run, None)

        def write(connection: SQLConnection, now: float) -> None:
            connection.execute("DELETE FROM budget_runs WHERE run = ?", (run,))

        self._write(write, None, patience)
        self._tell()

    def _write(self, work: Callable[[SQLConnection, float], T], run: str | None, patience: float) -> T:
        """Do `work`, which gets the time, while nobody else uses the account."""
        store = self._journal.store

        def write(connection: SQLConnection) -> T:
            self._check_file(run)
            store.make(connection, "budgets")
            store.lock(connection, f"budget {self._key}")
            return work(connection, store.now(connection))

        # What is spent would be so twice.
        return store.write(write, patience, once=True)

    def _check_file(self, run: str | None) -> None:
        """Raise a JournalError if the file is not the one in which the run has drawn: nobody knows what is left."""
        files = self._journal.store.files
        if self._files.get(run or "", files) != files:
            raise JournalError(
                f"journal {self._journal.name} was deleted or replaced while a run drew from budget {self._key[0]!r}",
                hint="what was spent of it is gone with the file; a new run begins anew",
            )

    def _standing(self, connection: SQLConnection, opened: float, run: str, now: float) -> Standing:
        window = (*self._key, opened)
        # Reservations first: what is settled in between is counted twice rather than not at all.
        reserved = connection.execute(
            "SELECT expires > ?, run = ?, sum(calls), sum(tokens), sum(cost_usd) FROM budget_reserved "  # noqa: S608
            f"WHERE {_KEY} AND opened = ? GROUP BY 1, 2",
            (now, run, *window),
        ).fetchall()
        spent = connection.execute(
            f"SELECT calls, tokens, cost_usd FROM budget_spent WHERE {_KEY} AND opened = ?",  # noqa: S608
            window,
        ).fetchone()
        runs = connection.execute(
            f"SELECT count(*) FROM budget_runs WHERE {_KEY} AND expires > ?",  # noqa: S608
            (*self._key, now),
        ).fetchall()
        total, out, mine = self._amounts(spent or (0, 0, 0)), ZERO, ZERO
        for lives, own, *row in reserved:
            amounts = self._amounts(row)
            if not lives:
                total += amounts
                continue
            out += amounts
            mine += amounts if own else ZERO
        return Standing(total, out, mine, max(1, runs[0][0]))

    def _amounts(self, row: Sequence[object]) -> Amounts:
        numbers = [each for each in row if isinstance(each, int | float) and 0 <= each < math.inf]
        if len(numbers) != len(row):
            raise self._journal.store.damaged(f"what was spent of budget {self._key[0]!r} is no number")
        return Amounts(*numbers)

    def _tell(self) -> None:
        for call in tuple(self.changed):
            call()


def _row(amounts: Amounts) -> tuple[float, float, float]:
    return amounts.calls, amounts.tokens, amounts.cost_usd
