"""The division of limits among the calls that are still to come: what has been spent, what is reserved, what is left.

Each task that is not done gets an equal part of what may be written, and what others leave of theirs is divided again.
Where an aggregator merges, each token that a subagent may write is set aside twice, as it is read again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import LimitExceeded
from ..events import Speaker
from ..limits import Limits
from ..usage import NOTHING, Price, Usage

MIN_OUTPUT_TOKENS = 64
DEFAULT_OUTPUT_TOKENS = 4096
# Of tokens, for the aggregator's own prompt and answer; what it reads of the others is kept as they write it.
KEPT_SHARE = 0.125
MAX_KEPT_TOKENS = 4096
# Of USD.
KEPT_SHARE_OF_COST = 0.25
PLANNER_SHARE = 0.25
# A token that is written is estimated at so many when it is read again: the estimate is rather too high.
READ_AGAIN = 4 / 3
MILLION = 1e6


class ToCome(NamedTuple):
    """Among how many calls something is to be divided: those that are known, and the most that there may be."""

    known: int
    most: int


ONE = ToCome(1, 1)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The budget reserved for one call: `tokens` in all, of which at most `written` are output.

    Without a limit on tokens these are 0 and None. `cost` is in USD; `outer` is the reservation in the outer run.
    `limit` names the limit that allows no more output, if that is less than the call asked for.
    """

    tokens: int
    written: int | None
    cost: float = 0.0
    task: str | None = None
    limit: str | None = None
    outer: Reservation | None = None

    @property
    def output_tokens(self) -> int | None:
        """The most tokens that the call may write; None without a limit."""
        outer = None if self.outer is None else self.outer.output_tokens
        return self.written if outer is None else outer

    @property
    def capped_by(self) -> str | None:
        """The limit that allows no more output, of this run or one around it."""
        return self.limit or (None if self.outer is None else self.outer.capped_by)


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that asks for a reservation, as `Ledger.reserve` describes it."""

    prompt: int
    output: int | None
    role: Speaker
    task: str | None
    parts: Callable[[], ToCome]
    price: Price | None


class _Room(NamedTuple):
    """The output tokens that a limit has for a call: its share, the least share there may be, and all that is left."""

    share: float
    least: float
    left: float
    limit: str


class Shares:
    """What is spent and reserved of a run's limits, and what each call may have of the rest.

    Args:
        limits: what may be spent.
        keep_for_aggregator: whether to keep a share for the aggregator.

    Attributes:
        open_tasks: returns how many tasks of the run are not done, as far as that is known.
        tasks_to_come: returns how many there may be at most, where the planner is about to hand out more.
    """

    def __init__(self, limits: Limits, *, keep_for_aggregator: bool) -> None:
        self.limits = limits
        self.spent = NOTHING
        self.cost_spent = 0.0
        self.calls_out = 0
        self.tokens_out = 0
        self.open_tasks: Callable[[], int] = lambda: 1
        self.tasks_to_come: Callable[[], int] = lambda: self.open_tasks()
        self._waiting_outside: Counter[str] = Counter()
        self._tasks_out: Counter[str] = Counter()
        self._output_out = 0
        self._cost_out = 0.0
        self._written = 0
        self._keeps = keep_for_aggregator
        self._kept_calls = 1 if keep_for_aggregator and (limits.calls or 0) > 1 else 0
        self._kept_tokens = _kept_share(limits.total_tokens) if keep_for_aggregator else 0
        self._kept_output = _kept_share(limits.output_tokens) if keep_for_aggregator else 0
        self._kept_cost = (limits.cost_usd or 0.0) * KEPT_SHARE_OF_COST if keep_for_aggregator else 0.0

    @property
    def calls_left(self) -> float:
        """How many more calls are allowed, without the aggregator's share; `math.inf` without a limit."""
        if self.limits.calls is None:
            return math.inf
        return max(0, self.limits.calls - self._kept_calls - self.spent.calls - self.calls_out)

    def prompt_room(self, role: Speaker) -> float:
        """Return how many tokens a prompt of `role` may have beside an answer; `math.inf` without a limit."""
        if self.limits.total_tokens is None:
            return math.inf
        left = self.limits.total_tokens - self.spent.total_tokens - self.tokens_out
        left -= 0 if role == "aggregator" else self._kept_tokens
        return left - max(MIN_OUTPUT_TOKENS, min(DEFAULT_OUTPUT_TOKENS, left * KEPT_SHARE))

    def take(self, ask: Ask) -> Reservation | None:
        """Reserve the share of a call; None if it is to wait, until a call is settled or the planner pauses.

        Raises:
            LimitExceeded: the call does not fit into what is left, and never will fit.
        """
        if self.limits.calls is not None:
            kept = 0 if ask.role == "aggregator" else self._kept_calls
            if self.spent.calls + self.calls_out >= self.limits.calls - kept:
                raise refusal(self.limits, "calls")
        rooms = self._rooms(ask)
        if not rooms:
            return self._reserved(ask, 0, ask.output, None)
        share, least, _, limit = min(rooms)
        wanted = DEFAULT_OUTPUT_TOKENS if ask.output is None else ask.output
        if least < wanted and least < share and share > MIN_OUTPUT_TOKENS:
            # Among how many it is to be divided, is known when the plan is written.
            return None
        # Where shares are too small to say anything, fewer calls have more.
        allowed = int(min(wanted, max(share, MIN_OUTPUT_TOKENS)))
        # With that, another limit may be the tighter one.
        tightest = min(rooms, key=lambda room: room.left)
        if tightest.left >= allowed:
            return self._reserved(ask, ask.prompt + allowed, allowed, limit if allowed < wanted else None)
        if self.calls_out:
            return None
        raise refusal(self.limits, tightest.limit)

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Release a reservation, and book the actual cost of the call."""
        self.book(usage)
        if reservation.task is not None:
            self._written += usage.output_tokens - usage.reasoning_tokens
        self.release(reservation)

    def book(self, usage: Usage) -> None:
        """Book what was spent without a reservation."""
        self.spent += usage
        # An unknown cost makes the sum unknown, and leaves what is known of it to be held.
        self.cost_spent += usage.cost_usd or 0.0

    def release(self, reservation: Reservation) -> None:
        """Release a reservation."""
        self.calls_out -= 1
        self.tokens_out -= reservation.tokens
        self._output_out -= reservation.written or 0
        self._cost_out -= reservation.cost
        if reservation.task is not None:
            _decrement(self._tasks_out, reservation.task)

    def to_come(self, ask: Ask) -> ToCome:
        """Return among how many calls what is left is to be divided, this one included."""
        if ask.role != "subagent" or ask.task is None:
            return ONE
        parts, others = ask.parts(), len(self._tasks_out) + (0 if ask.task in self._tasks_out else 1)
        known = max(0, self.open_tasks() - others) + parts.known
        return ToCome(known, max(known, self.tasks_to_come() - others + parts.most))

    def to_come_outside(self, ask: Ask) -> ToCome:
        """Return the same for the limits of the run around this one, which know nothing of this one's aggregator."""
        if ask.role != "subagent" or ask.task is None:
            return ONE
        waiting = len(self._waiting_outside) - (1 if ask.task in self._waiting_outside else 0)
        known, most = (number + waiting for number in self.to_come(ask))
        return ToCome(_with_merge(known), _with_merge(most)) if self._keeps else ToCome(known, most)

    def _rooms(self, ask: Ask) -> list[_Room]:
        """Return what each limit has for a call."""
        rooms: list[_Room] = []
        limits, kept = self.limits, 0 if ask.role == "aggregator" else 1
        for_task = ask.role == "subagent" and ask.task is not None
        to_come = self.to_come(ask)

        def add(limit: str, left: float, divided: Callable[[int], float]) -> None:
            known, most = (divided(number) / number for number in to_come)
            part = PLANNER_SHARE if ask.role == "planner" else 1.0
            rooms.append(_Room(known * part, most * part, left, limit))

        if limits.total_tokens is not None:
            left = limits.total_tokens - self.spent.total_tokens - self.tokens_out - kept * self._kept_tokens
            if self._keeps and kept:
                left -= math.ceil(READ_AGAIN * (self._written + self._reserved_by_tasks))
            again = READ_AGAIN if self._keeps and for_task else 0.0
            add("total_tokens", left - ask.prompt, lambda number: (left - number * ask.prompt) / (1 + again))
        if limits.output_tokens is not None:
            free = limits.output_tokens - self.spent.output_tokens - self._output_out - kept * self._kept_output
            add("output_tokens", free, lambda _: free)
        if limits.cost_usd is not None:
            assert ask.price is not None  # noqa: S101
            money = limits.cost_usd - self.cost_spent - self._cost_out - kept * self._kept_cost
            prompt, per_token = ask.prompt * ask.price.input / MILLION, ask.price.output / MILLION
            room = _tokens_for(money - prompt, per_token)
            add("cost_usd", room, lambda number: _tokens_for(money - number * prompt, per_token))
        return rooms

    @contextmanager
    def waiting(self, ask: Ask) -> Iterator[None]:
        """Count a call with a share here as one that waits for its share in the run around this one."""
        if ask.role != "subagent" or ask.task is None:
            yield
            return
        self._waiting_outside[ask.task] += 1
        try:
            yield
        finally:
            _decrement(self._waiting_outside, ask.task)

    @property
    def _reserved_by_tasks(self) -> int:
        return self._output_out if self._tasks_out else 0

    def _reserved(self, ask: Ask, tokens: int, output: int | None, limit: str | None) -> Reservation:
        written = output or 0
        cost = 0.0
        if self.limits.cost_usd is not None and ask.price is not None:
            cost = (ask.prompt * ask.price.input + written * ask.price.output) / MILLION
        self.calls_out += 1
        self.tokens_out += tokens
        self._output_out += written
        self._cost_out += cost
        task = ask.task if ask.role == "subagent" else None
        if task is not None:
            self._tasks_out[task] += 1
        return Reservation(tokens, output, cost, task, limit)


def refusal(limits: Limits, limit: str) -> LimitExceeded:
    """Return the error for a call that does not fit into what is left of `limit`."""
    return LimitExceeded(
        f"Limits.{limit} = {getattr(limits, limit)} leaves no room for another call",
        limit=limit,
        hint="raise the limit",
    )


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _with_merge(calls: int) -> int:
    """Return how many calls cost as much as `calls` and one more that reads what they write."""
    return math.ceil(calls * (1 + READ_AGAIN)) + 1


def _kept_share(tokens: int | None) -> int:
    return min(int((tokens or 0) * KEPT_SHARE), MAX_KEPT_TOKENS)


def _tokens_for(money: float, per_token: float) -> float:
    if money < 0:
        return -1
    return money / per_token if per_token else math.inf
