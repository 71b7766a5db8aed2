"""Limits on requests or tokens per minute, in the two ways that providers count them. Times are in seconds."""

from __future__ import annotations

from collections import deque
from math import ceil, inf

MINUTE = 60.0
# As a share of the capacity: rounding must not cause waits shorter than the clock's resolution.
ROUNDING = 1e-6
# What ends at a time must have ended for who wakes up at that time.
CLOCK_SECONDS = 1e-6
# What a minute has taken is written down in steps of so much, which binary fractions say exactly.
STEP = 0.125

# Amounts, and when they were taken.
Spent = tuple[tuple[float, float], ...]


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
        """Take `amount`."""
        self._fill(now)
        self.level -= amount

    def give_back(self, amount: float, at: float) -> None:
        """Give back of what was taken `at` a time what was not needed."""
        self.level = min(self.capacity, self.level + amount)

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
        """Take `amount`."""
        self._forget(now)
        if amount > 0:
            self._taken.append((now, amount))
            self._sum += amount

    def give_back(self, amount: float, at: float) -> None:
        """Give back of what was taken `at` a time what was not needed: what others took counts as long as before."""
        # From the end, as a minute may have thousands, and a call takes some seconds.
        for place in reversed(range(len(self._taken))):
            when, taken = self._taken[place]
            if when < at or amount <= 0:
                break
            if when < at + STEP:
                given = min(amount, taken)
                self._taken[place] = (when, taken - given)
                self._sum -= given
                amount -= given

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] + self._span <= now + CLOCK_SECONDS:
            self._sum -= self._taken.popleft()[1]


def meter(limit: int | None, window: bool, spent: Spent, late: float) -> Bucket | Minute:
    """Return the meter of a limit, or of none, which has taken so much; see `Minute` for `late`."""
    if limit is None or not window:
        return Bucket(inf if limit is None else limit, spent)
    return Minute(limit, spent, late)
