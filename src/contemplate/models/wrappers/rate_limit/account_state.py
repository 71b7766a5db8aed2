"""What an account allows, how it stands, and the permit of a call, as plain data. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ....data import Data
from .meters import Spent

LONGEST_PAUSE = 60.0


class Allowed(NamedTuple):
    """What an account allows: requests and tokens per minute, and concurrent calls; None for no limit.

    `window`: whether the limits hold for any minute, and not for buckets that are refilled.
    """

    requests: int | None = None
    tokens: int | None = None
    concurrency: int | None = None
    window: bool = False


class AccountState(Data):
    """How an account stands, whatever its limits are: what it was when no call had ever been made, by default.

    Args:
        requests, tokens: what was taken, and when.
        size: the concurrent calls that the provider accepts, if it has refused some.
        out: the calls in flight.
        entered: how many calls have started.
        seen_at_cut: how many had when the provider refused some.
        paused_until: when a pause ends, if there was one.
        in_doubt: whether the first call after the pause tests whether it is over.
    """

    requests: Spent = ()
    tokens: Spent = ()
    size: float | None = None
    out: int = 0
    entered: int = 0
    seen_at_cut: int = 0
    paused_until: float | None = None
    in_doubt: bool = False

    def no_later_than(self, time: float) -> AccountState:
        """Return the same as if nothing had been taken after a time, and no pause begun."""
        times = [at for at, _ in (*self.requests, *self.tokens)] + [(self.paused_until or time) - LONGEST_PAUSE]
        if max(times) <= time:
            return self
        requests, tokens = (
            tuple((min(at, time), amount) for at, amount in spent) for spent in (self.requests, self.tokens)
        )
        paused = None if self.paused_until is None else min(self.paused_until, time + LONGEST_PAUSE)
        return self.model_copy(update={"requests": requests, "tokens": tokens, "paused_until": paused})


@dataclass(frozen=True, slots=True)
class Pass:
    """A permit for one call, with the tokens reserved for it, and `at` what time. A `probe` tests if a pause is over.

    `call` is what the call is named where other processes use the account.
    """

    number: int
    tokens: float
    probe: bool
    at: float
    call: str = ""
