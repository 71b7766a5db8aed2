"""How fast calls may be made: plain arithmetic on a clock that is passed in, for `Limit`.

Bucket   so many requests, or tokens, a minute
Window   so many calls at one moment, fewer when the provider says that they are too many
Pace     both, and pauses
Line     who is next: first come, first served within a run, and one run after the other
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

MINUTE = 60.0
LONGEST_PAUSE = 60.0
DECREASE = 0.5
# A share of the capacity: a clock's rounding must not make anybody wait for less than it can tell.
ROUNDING = 1e-6

Item = TypeVar("Item", bound=Hashable)


class Bucket:
    """A token bucket: `capacity` at once, and as much again every minute, continuously.

    So OpenAI and Anthropic count. What costs more than the capacity waits until the bucket is full, and leaves a debt.
    An infinite capacity is no limit.
    """

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.level = capacity
        self._at = -inf

    def delay(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken."""
        self._fill(now)
        missing = min(amount, self.capacity) - self.level
        return missing * MINUTE / self.capacity if missing > self.capacity * ROUNDING else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take `amount`, which may be negative: what was not needed comes back."""
        self._fill(now)
        self.level = min(self.capacity, self.level - amount)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self.level = min(self.capacity, self.level + (now - self._at) * self.capacity / MINUTE)
            self._at = now


class Window:
    """How many calls may be out: one more for each full window of answers, half as many after a refusal.

    Additive increase, multiplicative decrease, which ends in fair shares among all who use an account (Chiu and Jain
    1989). As in TCP (RFC 5681), all refusals of calls that were out together are one sign and not many.
    """

    def __init__(self, most: int | None) -> None:
        self.most = inf if most is None else most
        self.size = self.most
        self.out = 0
        self._entered = 0
        self._seen_at_cut = 0

    @property
    def free(self) -> bool:
        """Whether one more may go out."""
        return self.out + 1 <= self.size

    def enter(self) -> int:
        """One goes out; its number."""
        self.out += 1
        self._entered += 1
        return self._entered

    def leave(self) -> None:
        """One came back, and says nothing about the window."""
        self.out -= 1

    def answered(self) -> None:
        """One was answered: the window grows, if it is what held calls back."""
        if not self.free:
            self.size = min(self.most, self.size + 1 / self.size)
        self.out -= 1

    def refused(self, number: int) -> None:
        """One was refused, as too many."""
        if number > self._seen_at_cut:
            self._seen_at_cut = self._entered
            self.size = max(1.0, min(self.size, self.out) * DECREASE)
        self.out -= 1


@dataclass(frozen=True, slots=True)
class Pass:
    """A call that may go out, with the tokens set aside for it. A `probe` finds out whether a pause is over."""

    number: int
    tokens: float
    probe: bool


class Pace:
    """The limits of one account, together.

    A refusal may ask for a pause. Where it asks for a longer one than `LONGEST_PAUSE` seconds, one call goes out after
    that time as a probe, and one more each time that passes again, until one is heard.
    """

    def __init__(self, requests: int | None, tokens: int | None, concurrency: int | None) -> None:
        self.requests = Bucket(inf if requests is None else requests)
        self.tokens = Bucket(inf if tokens is None else tokens)
        self.window = Window(concurrency)
        self._paused_until = -inf
        self._in_doubt = False

    def delay(self, tokens: float, now: float) -> float:
        """Seconds until a call with so many tokens may go out; inf while that hangs on those which are out."""
        if not self.window.free:
            return inf
        waits = (self.requests.delay(1, now), self.tokens.delay(tokens, now), self._paused_until - now)
        return max(0.0, *waits)

    def enter(self, tokens: float, now: float) -> Pass:
        """One goes out; only where there is no delay."""
        self.requests.take(1, now)
        self.tokens.take(tokens, now)
        if self._in_doubt:
            self._paused_until = now + LONGEST_PAUSE
        return Pass(self.window.enter(), tokens, probe=self._in_doubt)

    def heard(self, given: Pass) -> None:
        """The provider has begun to answer."""
        if given.probe:
            self._in_doubt, self._paused_until = False, -inf

    def answered(self, given: Pass, now: float, *, calls: int, tokens: float) -> None:
        """It was answered, and took so many calls and tokens in truth."""
        self.heard(given)
        self.window.answered()
        self.requests.take(calls - 1, now)
        self.tokens.take(tokens - given.tokens, now)

    def refused(self, given: Pass, now: float, retry_after: float | None) -> None:
        """It was refused, as one too many. Providers count refused requests, and not their tokens."""
        self.window.refused(given.number)
        self.tokens.take(-given.tokens, now)
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + min(retry_after, LONGEST_PAUSE))
            self._in_doubt = self._in_doubt or retry_after > LONGEST_PAUSE

    def ended(self, given: Pass, now: float) -> None:
        """It ended in another way, and nobody knows what it took: let that be what was set aside."""
        self.window.leave()
        if given.probe and self._in_doubt:
            self._paused_until = now

    def unused(self, given: Pass, now: float) -> None:
        """It never went out."""
        self.requests.take(-1, now)
        self.tokens.take(-given.tokens, now)
        self.ended(given, now)


class Line(Generic[Item]):
    """Waiters of several runs: each run's in their order, and one run after the other."""

    def __init__(self) -> None:
        # Ordered ones, as a plain dictionary looks for its first entry among all that were removed before.
        self._runs: OrderedDict[Hashable, OrderedDict[Item, None]] = OrderedDict()

    @property
    def first(self) -> Item | None:
        """Who is next."""
        for waiting in self._runs.values():
            return next(iter(waiting))
        return None

    def join(self, run: Hashable, item: Item) -> None:
        """Stand at the end of one's run; a run that nobody else waits for comes last."""
        self._runs.setdefault(run, OrderedDict())[item] = None

    def leave(self, run: Hashable, item: Item) -> None:
        """Wait no more."""
        waiting = self._runs[run]
        del waiting[item]
        if not waiting:
            del self._runs[run]

    def serve(self, run: Hashable, item: Item) -> None:
        """`item` is served; the next turn is another run's."""
        self.leave(run, item)
        if run in self._runs:
            self._runs.move_to_end(run)
