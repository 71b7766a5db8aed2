"""A limit on concurrent calls, which learns what the provider accepts."""

from __future__ import annotations

from math import inf

from .account_state import AccountState

DECREASE = 0.5


class ConcurrencyWindow:
    """A limit on concurrent calls: one more for each full window of answers, half as many after a refusal.

    Additive increase, multiplicative decrease converges to fair shares among all users of an account (Chiu and Jain
    1989). As in TCP (RFC 5681), the refusals of calls that were in flight together count as one.
    """

    def __init__(self, most: int | None, state: AccountState | None = None) -> None:
        state = state or AccountState()
        self.most = inf if most is None else most
        self.size = self.most if state.size is None else min(self.most, state.size)
        self.out = state.out
        self.entered = state.entered
        self.seen_at_cut = state.seen_at_cut

    @property
    def free(self) -> bool:
        """Whether one more call may start."""
        return self.out + 1 <= self.size

    def enter(self) -> int:
        """Start a call, and return its number."""
        self.out += 1
        self.entered += 1
        return self.entered

    def leave(self) -> None:
        """End a call without changing the window."""
        self.out -= 1

    def answered(self) -> None:
        """End a call that was answered; the window grows if it was full."""
        if not self.free:
            self.size = min(self.most, self.size + 1 / self.size)
        self.out -= 1

    def refused(self, number: int) -> None:
        """End a call that was refused for the rate limit; the window shrinks."""
        if number > self.seen_at_cut:
            self.seen_at_cut = self.entered
            self.size = max(1.0, min(self.size, self.out) * DECREASE)
        self.out -= 1
