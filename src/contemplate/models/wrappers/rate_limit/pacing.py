"""The arithmetic of all limits of an account, on a clock that is passed in. Times are in seconds."""

from __future__ import annotations

from math import inf

from .account_state import LONGEST_PAUSE, AccountState, Pass
from .concurrency_window import ConcurrencyWindow
from .meters import meter


class AccountLimits:
    """All limits of one account.

    A refusal may ask for a pause. If it asks for more than `LONGEST_PAUSE` seconds, one call starts after that time as
    a probe, and another one each time it passes again, until one is answered. Calls may start up to `late` seconds
    after they were let in.
    """

    def __init__(
        self,
        requests: int | None,
        tokens: int | None,
        concurrency: int | None,
        window: bool = False,
        state: AccountState | None = None,
        late: float = 0.0,
    ) -> None:
        state = state or AccountState()
        self.requests = meter(requests, window, state.requests, late)
        self.tokens = meter(tokens, window, state.tokens, late)
        self.window = ConcurrencyWindow(concurrency, state)
        self._paused_until = -inf if state.paused_until is None else state.paused_until
        self._in_doubt = state.in_doubt

    @property
    def state(self) -> AccountState:
        """How the account stands; another object, with other limits perhaps, may go on from there."""
        return AccountState(
            requests=self.requests.spent,
            tokens=self.tokens.spent,
            size=self.window.size if self.window.size < self.window.most else None,
            out=self.window.out,
            entered=self.window.entered,
            seen_at_cut=self.window.seen_at_cut,
            paused_until=None if self._paused_until == -inf else self._paused_until,
            in_doubt=self._in_doubt,
        )

    def delay(self, tokens: float, now: float) -> float:
        """Return the seconds until a call with `tokens` may start; inf if a call in flight must end first."""
        if not self.window.free:
            return inf
        waits = (self.requests.delay(1, now), self.tokens.delay(tokens, now), self._paused_until - now)
        return max(0.0, *waits)

    def enter(self, tokens: float, now: float) -> Pass:
        """Start a call, and return its permit. Only allowed if the delay is 0."""
        self.requests.take(1, now)
        self.tokens.take(tokens, now)
        if self._in_doubt:
            self._paused_until = now + LONGEST_PAUSE
        return Pass(self.window.enter(), tokens, probe=self._in_doubt, at=now)

    def heard(self, permit: Pass) -> None:
        """Note that the answer has begun: if the call is a probe, the pause is over."""
        if permit.probe:
            self._in_doubt, self._paused_until = False, -inf

    def answered(self, permit: Pass, now: float, *, calls: int, tokens: float) -> None:
        """End a call that was answered, and correct the estimate by its actual `calls` and `tokens`."""
        self.heard(permit)
        self.window.answered()
        self.requests.take(calls - 1, now)
        self.tokens.take(max(0.0, tokens - permit.tokens), now)
        self.tokens.give_back(max(0.0, permit.tokens - tokens), permit.at)

    def refused(self, permit: Pass, now: float, retry_after: float | None) -> bool:
        """End a call that was refused for the rate limit, and return whether it was one too many beside others.

        Providers count such requests, but not their tokens.
        """
        self.window.refused(permit.number)
        self.tokens.give_back(permit.tokens, permit.at)
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + min(retry_after, LONGEST_PAUSE))
            self._in_doubt = self._in_doubt or retry_after > LONGEST_PAUSE
        return self.window.out > 0 and (retry_after or 0.0) <= LONGEST_PAUSE

    def ended(self, permit: Pass, now: float) -> None:
        """End a call that failed otherwise or was cancelled. Its usage is unknown, so the estimate stands."""
        self.window.leave()
        if permit.probe and self._in_doubt:
            self._paused_until = now

    def unused(self, permit: Pass, now: float) -> None:
        """Give back the permit of a call that was never made."""
        self.requests.give_back(1, permit.at)
        self.tokens.give_back(permit.tokens, permit.at)
        self.ended(permit, now)
