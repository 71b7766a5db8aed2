"""The arithmetic of rate limits, on a clock that is passed in, for `Limit`. Times are in seconds.

Bucket   a limit on requests or tokens per minute, as a bucket that is refilled
Minute   the same, as a sum over the last minute
ConcurrencyWindow   a limit on concurrent calls, lowered when the provider refuses some
AccountLimits     both, and pauses
AccountState      these at one moment, as data
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil, inf
from typing import NamedTuple

from ...data import Data

MINUTE = 60.0
LONGEST_PAUSE = 60.0
DECREASE = 0.5
# As a share of the capacity: rounding must not cause waits shorter than the clock's resolution.
ROUNDING = 1e-6
# What ends at a time must have ended for who wakes up at that time.
CLOCK_SECONDS = 1e-6
# What a minute has taken is written down in steps of so much, which binary fractions say exactly.
STEP = 0.125

# Amounts, and when they were taken.
Spent = tuple[tuple[float, float], ...]


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


class Bucket:
    """A token bucket: `capacity` at once, refilled continuously at `capacity` per minute.

    OpenAI and Anthropic count like this. An amount above the capacity waits until the bucket is full, and leaves a
    debt. An infinite capacity means no limit.
    """

    def __init__(self, capacity: float, spent: Spent = ()) -> None:
        self.capacity = capacity
        self.level = capacity
        self._at = -inf
        for at, amount in spent:
            self.take(amount, at)

    @property
    def spent(self) -> Spent:
        """What is missing, and since when nothing was refilled."""
        return ((self._at, self.capacity - self.level),) if self.level < self.capacity else ()

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
    capacity waits until the window is empty. What is taken may be used up to `late` seconds later.
    """

    def __init__(self, capacity: float, spent: Spent = (), late: float = 0.0) -> None:
        self.capacity = capacity
        self._span = MINUTE + late
        self._taken: deque[tuple[float, float]] = deque(spent)
        self._sum = sum(amount for _, amount in spent)

    @property
    def spent(self) -> Spent:
        """What was taken in the last minute, and when; in steps, so that it is never much, and never too early."""
        steps: dict[int, float] = {}
        for at, amount in self._taken:
            step = ceil(at / STEP)
            steps[step] = steps.get(step, 0.0) + amount
        return tuple((step * STEP, amount) for step, amount in steps.items())

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
                return at + self._span - now
        return self._span

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
        while self._taken and self._taken[0][0] + self._span <= now + CLOCK_SECONDS:
            self._sum -= self._taken.popleft()[1]


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


def _minutely(limit: int | None, window: bool, spent: Spent, late: float) -> Bucket | Minute:
    if limit is None or not window:
        return Bucket(inf if limit is None else limit, spent)
    return Minute(limit, spent, late)


@dataclass(frozen=True, slots=True)
class Pass:
    """A permit for one call, with the tokens reserved for it. A `probe` tests whether a pause is over.

    `call` is what the call is named where other processes use the account.
    """

    number: int
    tokens: float
    probe: bool
    call: str = ""


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
        self.requests = _minutely(requests, window, state.requests, late)
        self.tokens = _minutely(tokens, window, state.tokens, late)
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
