"""What processes that share the limits of an account need of a journal, and how they find it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from importlib import import_module
from math import inf
from typing import Literal, NamedTuple, Protocol

from .account_state import Allowed, Pass

# How many seconds too late a call may start where what starts in any minute is counted.
LATE_START = 0.5


class AnyJournal(Protocol):
    """A `contemplate.journal.Journal`."""

    @property
    def name(self) -> str | None:
        """What users call it."""
        ...

    @property
    def key(self) -> Hashable:
        """What is equal for two that are the same."""
        ...


class Join(NamedTuple):
    """A call that asks for its turn, among those of its run, with the tokens that it is expected to take."""

    call: str
    run: str
    tokens: float


class End(NamedTuple):
    """What became of a call: its answer has begun, or it is over.

    "answered" has the `calls` and `tokens` that it took, "refused" for how many seconds the provider asks to wait;
    "unused" was never made.
    """

    call: str
    how: Literal["heard", "answered", "refused", "ended", "unused"]
    calls: int = 1
    tokens: float = 0.0
    retry_after: float | None = None


class Granted(NamedTuple):
    """A permit, for a call that may start in so many seconds; below 0 if it might have already."""

    permit: Pass
    seconds: float


class News(NamedTuple):
    """What a gate has to tell.

    Attributes:
        allowed: what it takes the account to allow.
        says_so: whether that counts for all, as it comes last.
        joins, ends: the calls that came since it told, and what became of others. What was told before does no harm.
        waiting: its calls that wait, those that join included.
    """

    allowed: Allowed
    says_so: bool = False
    joins: Sequence[Join] = ()
    ends: Sequence[End] = ()
    waiting: Sequence[str] = ()


class Turns(NamedTuple):
    """Whose turn it is, of those of a gate that wait.

    Attributes:
        granted: those that may start, by name.
        lost: those that nobody knows any more, as the gate was thought dead.
        due: after how many seconds an exchange may let somebody in; below 0 if it might have already.
        first: whether it is this gate that should make it.
    """

    granted: Mapping[str, Granted]
    lost: Sequence[str] = ()
    due: float = inf
    first: bool = False


class Exchanged(NamedTuple):
    """How an account stands, as one gate sees it.

    Attributes:
        turns: whose turn it is.
        out: the calls in flight, of all gates.
        gates: how many gates there are.
    """

    turns: Turns
    out: int
    gates: int


class SharedAccounts(Protocol):
    """The accounts in one journal. Methods block, and may be called in any thread.

    They raise a `JournalBusy` where it was not to be had for `patience` seconds, and a `JournalError` where it is
    broken.
    """

    lease: float
    """Seconds after which a gate is dead that has not exchanged anything."""

    @property
    def key(self) -> Hashable:
        """What is equal for two journals that are the same."""
        ...

    def exchange(self, account: str, gate: str, news: News, patience: float) -> Exchanged:
        """Tell what is new, let in whoever's turn it is, of all gates, and return how the account stands."""
        ...

    def look(self, account: str, gate: str, waiting: Sequence[str], patience: float) -> Turns:
        """Return whose turn it is, as others may have let calls in."""
        ...


def accounts_in(journal: str | AnyJournal) -> SharedAccounts:
    """Return the accounts in a journal.

    They are found by their name, as journals stand above models.

    Raises:
        ConfigurationError: the name of the journal has no known form.
        MissingDependencyError: it is in PostgreSQL, and the extra "cluster" is not installed.
    """
    found: SharedAccounts = import_module("....journal.account_limits", __package__).accounts_in(journal)
    return found
