"""The accounts of budgets: what is spent of one in a window of time, and what is reserved for calls in flight."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .usage import Usage

# Sums of USD are not exact.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Amounts:
    """Calls, tokens and USD."""

    calls: float = 0
    tokens: float = 0
    cost_usd: float = 0.0

    @classmethod
    def of(cls, usage: Usage) -> Amounts:
        """Return the amounts of `usage`; of a cost that is not known, nothing."""
        return cls(usage.calls, usage.total_tokens, usage.cost_usd or 0.0)

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(self.calls + other.calls, self.tokens + other.tokens, self.cost_usd + other.cost_usd)

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(self.calls - other.calls, self.tokens - other.tokens, self.cost_usd - other.cost_usd)

    def fits(self, most: Amounts) -> bool:
        """Return whether no amount is more than in `most`."""
        return self.calls <= most.calls and self.tokens <= most.tokens and self.cost_usd <= most.cost_usd + ROUNDING


ZERO = Amounts()


class Standing(NamedTuple):
    """How an account stands in one window, as one run sees it.

    Attributes:
        spent: what is spent, with what was reserved for calls that were lost with their process.
        out: what is reserved for calls in flight, of all runs.
        mine: the part of `out` that is the run's own.
        runs: how many runs draw from it, this one included.
    """

    spent: Amounts
    out: Amounts
    mine: Amounts
    runs: int


class Settlement(NamedTuple):
    """The end of the reservation `id`, made in the window that `opened` then, and what was spent of it."""

    id: str
    opened: float
    spent: Amounts


class Account(Protocol):
    """What runs spend and reserve; each method is one transaction, and may be called from any thread.

    Where others keep it locked for longer than `patience` seconds, a `JournalBusy` is raised; where it is broken, a
    `JournalError`. A window is named by when it `opened`; a run, by a name of its own.
    """

    shared: bool
    """Whether other processes use it, so that nobody tells what they leave."""

    remote: bool
    """Whether it is reached over a network, so that no event loop may wait for it."""

    changed: set[Callable[[], None]]
    """Called, in any thread, when a run of this process leaves something."""

    def join(self, opened: float, run: str, patience: float) -> Standing:
        """Count `run` among those that draw, and return how the account stands."""
        ...

    def look(self, opened: float, run: str, patience: float) -> Standing:
        """Return how the account stands."""
        ...

    def reserve(
        self, opened: float, run: str, name: str, amounts: Amounts, most: Amounts, patience: float
    ) -> Standing | None:
        """Reserve `amounts` as `name`, so that of `most` no more is spent and reserved; None if it is reserved.

        Otherwise nothing is, and how the account stands is returned.
        """
        ...

    def settle(self, settlements: Sequence[Settlement], patience: float) -> None:
        """End reservations, those too that do not exist, and book what was spent."""
        ...

    def renew(self, run: str, patience: float) -> None:
        """Say that `run` and its calls are still there."""
        ...

    def leave(self, run: str, patience: float) -> None:
        """Count `run` no longer."""
        ...


@dataclass(slots=True)
class _Reserved:
    opened: float
    run: str
    amounts: Amounts


@dataclass(slots=True)
class MemoryAccount:
    """An account in the memory of one process."""

    shared: bool = False
    remote: bool = False
    changed: set[Callable[[], None]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _spent: dict[float, Amounts] = field(default_factory=dict)
    _reserved: dict[str, _Reserved] = field(default_factory=dict)
    _runs: set[str] = field(default_factory=set)

    def join(self, opened: float, run: str, patience: float) -> Standing:
        """Count `run` among those that draw, and return how the account stands."""
        with self._lock:
            self._runs.add(run)
            # What was spent in windows that are over matters to nobody.
            self._spent = {each: spent for each, spent in self._spent.items() if each >= opened}
            return self._standing(opened, run)

    def look(self, opened: float, run: str, patience: float) -> Standing:
        """Return how the account stands."""
        with self._lock:
            return self._standing(opened, run)

    def reserve(
        self, opened: float, run: str, name: str, amounts: Amounts, most: Amounts, patience: float
    ) -> Standing | None:
        """Reserve `amounts` if they fit; else return how the account stands."""
        with self._lock:
            standing = self._standing(opened, run)
            if not (standing.spent + standing.out + amounts).fits(most):
                return standing
            self._reserved[name] = _Reserved(opened, run, amounts)
            return None

    def settle(self, settlements: Sequence[Settlement], patience: float) -> None:
        """End reservations, and book what was spent."""
        with self._lock:
            for name, opened, spent in settlements:
                self._reserved.pop(name, None)
                self._spent[opened] = self._spent.get(opened, ZERO) + spent
        self._tell()

    def renew(self, run: str, patience: float) -> None:
        """Do nothing: what dies with its process needs no lease."""

    def leave(self, run: str, patience: float) -> None:
        """Count `run` no longer."""
        with self._lock:
            self._runs.discard(run)
        self._tell()

    def _standing(self, opened: float, run: str) -> Standing:
        out = mine = ZERO
        for each in self._reserved.values():
            if each.opened == opened:
                out += each.amounts
                mine += each.amounts if each.run == run else ZERO
        return Standing(self._spent.get(opened, ZERO), out, mine, max(1, len(self._runs)))

    def _tell(self) -> None:
        for call in tuple(self.changed):
            call()
