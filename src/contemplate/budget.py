"""Budgets that several runs, users or processes draw from: so much for a day, a minute, or for good."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from .accounts import Account, Amounts, MemoryAccount
from .arguments import checked_arguments
from .data import Data
from .errors import ConfigurationError

if TYPE_CHECKING:
    from .journal import Journal

SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
LONGEST_NAME = 200
PATIENCE = 30.0


class Left(Data):
    """What is left of a budget, without what is reserved for calls in flight.

    Args:
        cost_usd, tokens, calls: what is left; None without a limit on it.
        ends: when the window ends and all is there again, in UTC; None where that is never.
    """

    cost_usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    ends: datetime | None = None


class Window(NamedTuple):
    """A stretch of time, in seconds since 1970: `opened` is part of it, `ends` is not."""

    opened: float
    ends: float


class Budget:
    """What several runs may spend together: `Contemplator(budget=...)`, or `run(..., budget=...)`, or both.

    Each call of a run, of whatever role, is reserved here before it is made and booked afterwards at what it used, so
    that runs that are active together, with threads and event loops of their own, cannot exceed it. (Only what may
    exceed `Limits` may exceed it: a prompt's estimate, a second call of a `Hedge`.) A run plans with its part: what is
    left, divided by the runs that draw at the time; what others leave is divided again. A call for which there is room
    only when others' calls end, waits for them. A budget that is used up refuses the next call with a `LimitExceeded`,
    and the run concludes from what it has, as for `Limits`: `stopped_by` is "budget:" and the name. A new run is
    refused before anything is paid for. Recorded calls of a run that is resumed are not booked again,
    nor are answers that a comparison's journal has from other runs.

    Windows are fixed, and those of UTC: a day begins at midnight, an hour at its full hour; windows of n seconds are
    counted from 1970. So twice the budget may be spent around the end of one. A run that is active then goes on with
    the new one; a call belongs to the window in which it began.

    With a journal, all processes that name the same one, the same `name` and the same `per` share what is spent; each
    holds it to its own amounts, so that a larger one raises it for who has it. Calls in flight hold a lease. If a
    process is killed, its calls count as spent, as much as was reserved for them, since the provider may bill them.
    Where the journal stays locked, or is broken, calls fail with a `JournalError`: nothing is spent unseen.

    Args:
        name: what errors call it; with a journal, what it is known by to other processes.
        cost_usd: USD; the prices of all models must be known.
        tokens: input and output tokens.
        calls: model calls.
        per: "minute", "hour", "day", or a number of seconds; None: for good.
        journal: "sqlite:///runs.db", "postgresql://..." or a `Journal`, where processes share it; if None, it is this
            object that is shared, and forgotten with its process.

    Raises:
        ConfigurationError: an amount is wrong, or none is given.
    """

    @checked_arguments
    def __init__(
        self,
        name: str,
        *,
        cost_usd: float | None = None,
        tokens: int | None = None,
        calls: int | None = None,
        per: Literal["minute", "hour", "day"] | float | None = None,
        journal: str | Journal | None = None,
    ) -> None:
        _check(name, {"cost_usd": cost_usd, "tokens": tokens, "calls": calls}, per)
        self.name = name
        self.cost_usd = cost_usd
        self.tokens = tokens
        self.calls = calls
        self.per = per
        self._seconds = 0.0 if per is None else SECONDS[per] if isinstance(per, str) else float(per)
        self._clock = time.time
        self._journal = None if journal is None else _opened(journal)
        self._account: Account = MemoryAccount() if self._journal is None else self._account_in(self._journal)

    def __repr__(self) -> str:
        given = {"cost_usd": self.cost_usd, "tokens": self.tokens, "calls": self.calls, "per": self.per}
        said = [f"{name}={value!r}" for name, value in given.items() if value is not None]
        return f"Budget({', '.join([repr(self.name), *said])})"

    @property
    def most(self) -> Amounts:
        """The amounts that may be spent in a window; `math.inf` without a limit."""
        calls, tokens, cost = (math.inf if each is None else each for each in (self.calls, self.tokens, self.cost_usd))
        return Amounts(calls, tokens, cost)

    @property
    def account(self) -> Account:
        """What is spent and reserved of it."""
        return self._account

    @property
    def journal(self) -> Journal | None:
        """The journal in which processes share it; None where it is this object that is shared."""
        return self._journal

    @property
    def key(self) -> object:
        """What is equal for two objects that are the same budget."""
        journal = None if self._journal is None else self._journal.key
        return id(self) if journal is None else (journal, self.name, self._seconds)

    def now(self) -> float:
        """Return the time that windows are counted in: seconds since 1970."""
        return self._clock()

    def window(self) -> Window:
        """Return the window of now."""
        if not self._seconds:
            return Window(0.0, math.inf)
        opened = self.now() // self._seconds * self._seconds
        return Window(opened, opened + self._seconds)

    def left(self) -> Left:
        """Return what is left now, and when the window ends. Blocks while a journal is read.

        Raises:
            JournalError: the journal cannot be read.
        """
        opened, ends = self.window()
        standing = self._account.look(opened, "", PATIENCE)
        free, most = self.most - standing.spent - standing.out, self.most
        return Left(
            cost_usd=None if most.cost_usd == math.inf else max(0.0, free.cost_usd),
            tokens=None if most.tokens == math.inf else max(0, int(free.tokens)),
            calls=None if most.calls == math.inf else max(0, int(free.calls)),
            ends=None if ends == math.inf else datetime.fromtimestamp(ends, UTC),
        )

    def _account_in(self, journal: Journal) -> Account:
        # Imported on use only, as it imports SQLite.
        from .journal.accounts import JournalAccount

        return JournalAccount(journal, self.name, self._seconds)


def _check(name: str, amounts: dict[str, float | None], per: str | float | None) -> None:
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(
            f"Budget(name={name!r:.80})", hint=f"1 to {LONGEST_NAME} characters that can be printed"
        )
    if all(each is None for each in amounts.values()):
        raise ConfigurationError(f"Budget({name!r}) limits nothing", hint="give cost_usd=, tokens= or calls=")
    for field, value in {**amounts, "per": None if isinstance(per, str) else per}.items():
        if value is not None and not 0 < value < math.inf:
            raise ConfigurationError(f"Budget({name!r}, {field}={value})", hint="a number above 0")


def _opened(journal: str | Journal) -> Journal:
    from .journal import opened_once

    return opened_once(journal)
