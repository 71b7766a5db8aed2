"""The accounts of budgets in a journal, which many processes share.

The tables are made on first use and belong to budgets alone, so that versions of this package that know nothing of them
read the journal as before. A reservation and a run have a lease, which a process renews while it lives. Whose lease is
over is dead, or stands still: what it had reserved counts as spent, as its calls may have been paid for, until it comes
back and books what they really used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from sqlite3 import Connection

from ..accounts import ZERO, Amounts, Settlement, Standing
from ..errors import JournalError
from .sqlite import Journal

LEASE = 30.0

_KEY = "budget = ? AND seconds = ?"


class JournalAccount:
    """An account in the tables of a journal.

    Args:
        journal: the journal.
        budget: the name of the budget.
        seconds: the length of its windows; 0 where there is one for good.
    """

    def __init__(self, journal: Journal, budget: str, seconds: float) -> None:
        self.shared = journal.path is not None
        self.changed: set[Callable[[], None]] = set()
        self._journal = journal
        self._key = (budget, seconds)
        # The number of the file in which each run of this process draws.
        self._files: dict[str, int] = {}

    def join(self, opened: float, run: str, patience: float) -> Standing:
        """Count `run` among those that draw, and return how the account stands."""
        now = time.time()
        with self._writing(run, patience) as connection:
            _, seconds = self._key
            connection.execute("DELETE FROM budget_runs WHERE expires <= ?", (now,))
            for table in ("budget_spent", "budget_reserved"):
                # A call that began in the window before this one may still be settled.
                over = f"DELETE FROM {table} WHERE {_KEY} AND opened < ?"  # noqa: S608
                connection.execute(over, (*self._key, opened - seconds))
            connection.execute("REPLACE INTO budget_runs VALUES (?, ?, ?, ?)", (run, *self._key, now + LEASE))
            self._files[run] = self._journal._database.files
            return self._standing(connection, opened, run)

    def look(self, opened: float, run: str, patience: float) -> Standing:
        """Return how the account stands."""
        with self._journal._reading(patience) as connection:
            self._check_file(run)
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'budget_spent'").fetchone():
                return Standing(ZERO, ZERO, ZERO, 1)
            return self._standing(connection, opened, run)

    def reserve(
        self, opened: float, run: str, name: str, amounts: Amounts, most: Amounts, patience: float
    ) -> Standing | None:
        """Reserve `amounts` if they fit; else return how the account stands."""
        with self._writing(run, patience) as connection:
            standing = self._standing(connection, opened, run)
            if not (standing.spent + standing.out + amounts).fits(most):
                return standing
            connection.execute(
                "INSERT INTO budget_reserved VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (name, *self._key, opened, run, *_row(amounts), time.time() + LEASE),
            )
            return None

    def settle(self, settlements: Sequence[Settlement], patience: float) -> None:
        """End reservations, and book what was spent."""
        with self._writing(None, patience) as connection:
            for name, opened, spent in settlements:
                connection.execute("DELETE FROM budget_reserved WHERE name = ?", (name,))
                connection.execute(
                    "INSERT INTO budget_spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "calls = calls + excluded.calls, tokens = tokens + excluded.tokens, "
                    "cost_usd = cost_usd + excluded.cost_usd",
                    (*self._key, opened, *_row(spent)),
                )
        self._tell()

    def renew(self, run: str, patience: float) -> None:
        """Say that `run` and its calls are still there."""
        until = time.time() + LEASE
        with self._writing(run, patience) as connection:
            connection.execute("REPLACE INTO budget_runs VALUES (?, ?, ?, ?)", (run, *self._key, until))
            connection.execute("UPDATE budget_reserved SET expires = ? WHERE run = ?", (until, run))

    def leave(self, run: str, patience: float) -> None:
        """Count `run` no longer."""
        self._files.pop(run, None)
        with self._writing(None, patience) as connection:
            connection.execute("DELETE FROM budget_runs WHERE run = ?", (run,))
        self._tell()

    @contextmanager
    def _writing(self, run: str | None, patience: float) -> Iterator[Connection]:
        with self._journal._writing((), patience) as connection:
            self._check_file(run)
            for statement in filter(str.strip, _schema().split(";")):
                connection.execute(statement)
            yield connection

    def _check_file(self, run: str | None) -> None:
        """Raise a JournalError if the file is not the one in which the run has drawn: nobody knows what is left."""
        if self._files.get(run or "", self._journal._database.files) != self._journal._database.files:
            raise JournalError(
                f"journal {self._journal.path} was deleted or replaced while a run drew from budget {self._key[0]!r}",
                hint="what was spent of it is gone with the file; a new run begins anew",
            )

    def _standing(self, connection: Connection, opened: float, run: str) -> Standing:
        window = (*self._key, opened)
        spent = connection.execute(
            f"SELECT calls, tokens, cost_usd FROM budget_spent WHERE {_KEY} AND opened = ?",  # noqa: S608
            window,
        ).fetchone()
        reserved = connection.execute(
            "SELECT expires > ?, run = ?, sum(calls), sum(tokens), sum(cost_usd) FROM budget_reserved "  # noqa: S608
            f"WHERE {_KEY} AND opened = ? GROUP BY 1, 2",
            (now := time.time(), run, *window),
        ).fetchall()
        runs = connection.execute(
            f"SELECT count(*) FROM budget_runs WHERE {_KEY} AND expires > ?",  # noqa: S608
            (*self._key, now),
        ).fetchone()
        total, out, mine = self._amounts(spent or (0, 0, 0)), ZERO, ZERO
        for lives, own, *row in reserved:
            amounts = self._amounts(row)
            if not lives:
                total += amounts
                continue
            out += amounts
            mine += amounts if own else ZERO
        return Standing(total, out, mine, max(1, runs[0]))

    def _amounts(self, row: Sequence[object]) -> Amounts:
        numbers = [each for each in row if isinstance(each, int | float) and 0 <= each < math.inf]
        if len(numbers) != len(row):
            raise self._journal._database.damaged(f"what was spent of budget {self._key[0]!r} is no number")
        return Amounts(*numbers)

    def _tell(self) -> None:
        for call in tuple(self.changed):
            call()


def _row(amounts: Amounts) -> tuple[float, float, float]:
    return amounts.calls, amounts.tokens, amounts.cost_usd


def _schema() -> str:
    return files(__package__).joinpath("budgets.sql").read_text(encoding="utf-8")
