"""The arithmetic of rate limits, on a clock that is passed in, for `Limit`. Times are in seconds.

Bucket   a limit on requests or tokens per minute, as a bucket that is refilled
Minute   the same, as a sum over the last minute
ConcurrencyWindow   a limit on concurrent calls, lowered when the provider refuses some
AccountLimits     both, and pauses
Line     a queue: first come, first served within a run, and round-robin among runs
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

MINUTE = 60.0
LONGEST_PAUSE = 60.0
DECREASE = 0.5
# As a share of the capacity: rounding must not cause waits shorter than the clock's resolution.
ROUNDING = 1e-6
# What ends at a time must have ended for who wakes up at that time.
CLOCK_SECONDS = 1e-6

Item = TypeVar("Item", bound=Hashable)


class Bucket:
    """A token bucket: `capacity` at once, refilled continuously at `capacity` per minute.

    OpenAI and Anthropic count like this. An amount above the capacity waits until the bucket is full, and leaves a
    debt. An infinite capacity means no limit.
    """

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.level = capacity
        self._at = -inf

    def delay(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` may be taken."""
        self._fill(now)
        missing = min(amount, self.capacity) - self.level
        return missing * MINUTE / self.capacity if missing > self.capacity * ROUNDING else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take `amount`; a negative one gives back what was not needed."""
        self._fill(now)
        self.level = min(self.capacity, self.level - amount)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self.level = min(self.capacity, self.level + (now - self._at) * self.capacity / MINUTE)
            self._at = now


class Minute:
    """A sliding window: at most `capacity` within any minute.

    For providers that count like this: of a bucket of 300, 599 are gone within its first minute. An amount above the
    capacity waits until the window is empty.
    """

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self._taken: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    @property
    def level(self) -> float:
        """How much is left of the capacity."""
        return self.capacity - self._sum

    def delay(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` may be taken."""
        self._forget(now)
        over = self._sum + min(amount, self.capacity) - self.capacity
        if over <= self.capacity * ROUNDING:
            return 0.0
        for at, taken in self._taken:
            over -= taken
            if over <= self.capacity * ROUNDING:
                return at + MINUTE - now
        return MINUTE

    def take(self, amount: float, now: float) -> None:
        """Take `amount`; a negative one gives back what was not needed."""
        self._forget(now)
        # Given back from what was taken last, so that nothing is allowed too early.
        while amount < 0 and self._taken:
            at, taken = self._taken.pop()
            self._sum -= taken
            amount += taken
            now = at
        if amount > 0:
            self._taken.append((now, amount))
            self._sum += amount

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] + MINUTE <= now + CLOCK_SECONDS:
            self._sum -= self._taken.popleft()[1]


class ConcurrencyWindow:
    """A limit on concurrent calls: one more for each full window of answers, half as many after a refusal.

    Additive increase, multiplicative decrease converges to fair shares among all users of an account (Chiu and Jain
    1989). As in TCP (RFC 5681), the refusals of calls that were in flight together count as one.
    """

    def __init__(self, most: int | None) -> None:
        self.most = inf if most is None else most
        self.size = self.most
        self.out = 0
        self._entered = 0
        self._seen_at_cut = 0

    @property
    def free(self) -> bool:
        """Whether one more call may start."""
        return self.out + 1 <= self.size

    def enter(self) -> int:
        """Start a call, and return its number."""
        self.out += 1
        self._entered += 1
        return self._entered

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
        if number > self._seen_at_cut:
            self._seen_at_cut = self._entered
            self.size = max(1.0, min(self.size, self.out) * DECREASE)
        self.out -= 1


def _minutely(limit: int | None, window: bool) -> Bucket | Minute:
    if limit is None or not window:
        return Bucket(inf if limit is None else limit)
    return Minute(limit)


@dataclass(frozen=True, slots=True)
class Pass:
    """A permit for one call, with the tokens reserved for it. A `probe` tests whether a pause is over."""

    number: int
    tokens: float
    probe: bool


class AccountLimits:
    """All limits of one account.

    A refusal may ask for a pause. If it asks for more than `LONGEST_PAUSE` seconds, one call starts after that time as
    a probe, and another one each time it passes again, until one is answered.
    """

    def __init__(self, requests: int | None, tokens: int | None, concurrency: int | None, window: bool = False) -> None:
        self.requests = _minutely(requests, window)
        self.tokens = _minutely(tokens, window)
        self.window = ConcurrencyWindow(concurrency)
        self._paused_until = -inf
        self._in_doubt = False

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
        return Pass(self.window.enter(), tokens, probe=self._in_doubt)

    def heard(self, permit: Pass) -> None:
        """Note that the answer has begun: if the call is a probe, the pause is over."""
        if permit.probe:
            self._in_doubt, self._paused_until = False, -inf

    def answered(self, permit: Pass, now: float, *, calls: int, tokens: float) -> None:
        """End a call that was answered, and correct the estimate by its actual `calls` and `tokens`."""
        self.heard(permit)
        self.window.answered()
        self.requests.take(calls - 1, now)
        self.tokens.take(tokens - permit.tokens, now)

    def refused(self, permit: Pass, now: float, retry_after: float | None) -> bool:
        """End a call that was refused for the rate limit, and return whether it was one too many beside others.

        Providers count such requests, but not their tokens.
        """
        self.window.refused(permit.number)
        self.tokens.take(-permit.tokens, now)
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
        self.requests.take(-1, now)
        self.tokens.take(-permit.tokens, now)
        self.ended(permit, now)


class Line(Generic[Item]):
    """A fair queue: first in, first out within each run, and round-robin among runs."""

    def __init__(self) -> None:
        # OrderedDict, as a plain dict finds its first entry by scanning past all removed ones.
        self._runs: OrderedDict[Hashable, OrderedDict[Item, None]] = OrderedDict()

    @property
    def first(self) -> Item | None:
        """The next waiter; None if nobody waits."""
        for waiting in self._runs.values():
            return next(iter(waiting))
        return None

    def join(self, run: Hashable, item: Item) -> None:
        """Add `item` at the end of its run; a run without other waiters goes to the end."""
        self._runs.setdefault(run, OrderedDict())[item] = None

    def leave(self, run: Hashable, item: Item) -> None:
        """Remove `item`."""
        waiting = self._runs[run]
        del waiting[item]
        if not waiting:
            del self._runs[run]

    def serve(self, run: Hashable, item: Item) -> None:
        """Remove `item`, and move its run to the end."""
        self.leave(run, item)
        if run in self._runs:
            self._runs.move_to_end(run)
