"""The division of limits among the calls that are still to come: what has been spent, what is reserved, what is left.

Each task that is not done gets an equal part of what may be written, and what others leave of theirs is divided again.
Where an aggregator merges, each token that a subagent may write is set aside twice, as it is read again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..errors import LimitExceeded
from ..events import Speaker
from ..limits import Limits
from ..usage import NOTHING, Price, Usage
from .budget_draws import Held

MIN_OUTPUT_TOKENS = 64
# Of several attempts at one question, fewer that end are better than many that are cut off.
ATTEMPT_TOKENS = 2048
DEFAULT_OUTPUT_TOKENS = 4096
# More than any model writes in one call.
MAX_OUTPUT_TOKENS = 2**17
# Of tokens, for the aggregator's own prompt and answer; what it reads of the others is kept as they write it.
KEPT_SHARE = 0.125
MAX_KEPT_TOKENS = 1536
# Of USD.
KEPT_SHARE_OF_COST = 0.25
PLANNER_SHARE = 0.25
# A token that is written is estimated at so many when it is read again: the estimate is rather too high.
READ_AGAIN = 4 / 3
# Of its prompt, what a call must be able to write to go on with an answer.
LEAST_GAIN = 1 / 32
MILLION = 1e6


class ToCome(NamedTuple):
    """Among how many calls something is to be divided: those that are known, and the most that there may be."""

    known: int
    most: int


ONE = ToCome(1, 1)


class More(NamedTuple):
    """What a call that was cut off needs to go on: `least` tokens, and `rather` so many, even if others have less then.

    Its prompt has about `prompt` tokens. What it has written is written `again`, or else gone on with; it took
    `seconds`.
    """

    least: int
    rather: int
    prompt: int
    again: bool
    seconds: float


class Reservation(NamedTuple):
    """The budget reserved for one call: `tokens` in all, of which at most `written` are output.

    Without a limit on tokens these are 0 and None. `cost` is in USD; `outer` is the reservation in the outer run. An
    aggregator is to read what is written (`read_again`), or the call is one that reads what its task wrote (`merges`).
    `limit` names the limit that allows no more output, if that is less than the call asked for. `drawn` is what is
    reserved for it of budgets that runs share.
    """

    tokens: int
    written: int | None
    cost: float = 0.0
    task: str | None = None
    read_again: bool = False
    merges: bool = False
    limit: str | None = None
    outer: Reservation | None = None
    drawn: tuple[Held, ...] = ()

    @property
    def output_tokens(self) -> int | None:
        """The most tokens that the call may write; None without a limit."""
        outer = None if self.outer is None else self.outer.output_tokens
        return self.written if outer is None else outer

    @property
    def capped_by(self) -> str | None:
        """The limit that allows no more output, of this run or one around it."""
        return self.limit or (None if self.outer is None else self.outer.capped_by)


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A call that asks for a reservation.

    Attributes:
        prompt: the estimated length of its prompt.
        output: the most that it may write; None for what the limits have for it.
        role: who calls.
        task: the task that the call is for.
        price: the model's.
        parts: returns how many calls like it the task still takes, for a run within the task.
        read_again: whether the aggregator of a run within the task is to read what it writes.
        merges: whether it is a call of that aggregator.
        spared: whether its task has an answer without it, so that other tasks' calls go first.
        more: what it needs to go on, if it was cut off.
        granted: called when it has its reservation.
        on_wait: called if it has to wait for it.
    """

    prompt: int
    output: int | None
    role: Speaker
    task: str | None = None
    price: Price | None = None
    parts: Callable[[], ToCome] = lambda: ONE
    read_again: bool = False
    merges: bool = False
    spared: bool = False
    more: More | None = None
    granted: Callable[[], None] = lambda: None
    on_wait: Callable[[], None] = lambda: None

    @property
    def for_task(self) -> bool:
        """Whether it is one of those that tasks are divided among."""
        return self.role == "subagent" and self.task is not None

    @property
    def has_an_answer(self) -> bool:
        """Whether there is an answer without it, if a short one."""
        return self.spared or self.more is not None

    @property
    def replaces(self) -> bool:
        """Whether nobody is to read what its task has written before: an answer is that of the last turn."""
        if self.read_again or self.merges or (self.more is not None and not self.more.again):
            return False
        return self.for_task


class _Room(NamedTuple):
    """The output tokens that a limit has for a call: its share, the least share there may be, and all that is left.

    `alone` is what it could write if nothing else came, but be read.
    """

    share: float
    least: float
    alone: float
    left: float
    limit: str


class Shares:
    """What is spent and reserved of a run's limits, and what each call may have of the rest.

    Args:
        limits: what may be spent.
        keep_for_aggregator: whether to keep a share for the aggregator.

    Attributes:
        limits: what may be spent; with budgets that runs share, what may be as far as that is known now.
        open_tasks: returns how many tasks of the run are not done, as far as that is known.
        tasks_to_come: returns how many there may be at most, where the planner is about to hand out more.
        handing_out: returns whether the planner hands out one of its first tasks, or pauses, as soon as others have had
            their turn.
        anything_planned: returns whether there is a task yet; until then, the planner leaves a call for one.
        planned_tasks: returns how many are planned and not done.
        is_attempt: returns whether a task is one of several attempts at the same question, of which fewer will do.
    """

    def __init__(self, limits: Limits, *, keep_for_aggregator: bool) -> None:
        self.limits = limits
        self.spent = NOTHING
        self.cost_spent = 0.0
        self.calls_out = 0
        self.tokens_out = 0
        self.open_tasks: Callable[[], int] = lambda: 1
        self.tasks_to_come: Callable[[], int] = lambda: self.open_tasks()
        self.handing_out: Callable[[], bool] = lambda: False
        self.anything_planned: Callable[[], bool] = lambda: True
        self.planned_tasks: Callable[[], int] = lambda: self.open_tasks()
        self.is_attempt: Callable[[str], bool] = lambda _: False
        self._cut_off = 0
        self._divides = any(each is not None for each in (limits.total_tokens, limits.output_tokens, limits.cost_usd))
        self._outside: set[Ask] = set()
        self._tasks_outside: Counter[str] = Counter()
        self._tasks_out: Counter[str] = Counter()
        self._output_out = 0
        self.cost_out = 0.0
        self._read_again_out = 0
        self._to_read: Counter[str] = Counter()
        self._to_read_in_all = 0
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

    @property
    def tokens_left(self) -> float:
        """How many more tokens are allowed, without the aggregator's share; `math.inf` without a limit."""
        if self.limits.total_tokens is None:
            return math.inf
        return max(0, self.limits.total_tokens - self._kept_tokens - self.spent.total_tokens - self.tokens_out)

    @property
    def cost_usd_left(self) -> float:
        """How many more USD are allowed, without the aggregator's share; `math.inf` without a limit."""
        if self.limits.cost_usd is None:
            return math.inf
        return max(0.0, self.limits.cost_usd - self._kept_cost - self.cost_spent - self.cost_out)

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
        if self._waits_for_a_call(ask):
            return None
        if not self._divides:
            return self._reserved(ask, 0, ask.output, None)
        rooms = self._rooms(ask)
        if ask.more is not None:
            return self._take_more(ask, ask.more, rooms)
        room = min(rooms)
        wanted = math.inf if ask.output is None else ask.output
        enough = DEFAULT_OUTPUT_TOKENS if ask.output is None else ask.output
        vague = room.least < min(enough, room.share) or (ask.output is None and ask.for_task and self.handing_out())
        if vague and room.share > MIN_OUTPUT_TOKENS:
            # Among how many it is to be divided, is known when the plan is written.
            return None
        # Whoever names no length would take what may be that of tasks to come.
        share = _at_most_one_answer(room.least) if ask.output is None else room.share
        if ask.output is None and not ask.for_task:
            # Its role may make other calls at the same time.
            share = min(share, max(DEFAULT_OUTPUT_TOKENS, share / 2))
        # Where shares are too small to say anything, fewer calls have more.
        attempt = ask.for_task and ask.task is not None and self.is_attempt(ask.task)
        allowed = min(wanted, max(share, ATTEMPT_TOKENS if attempt else MIN_OUTPUT_TOKENS))
        # With that, another limit may be the tighter one.
        tightest = min(rooms, key=lambda room: room.alone if attempt else room.left)
        left = tightest.alone if attempt else tightest.left
        if left >= allowed:
            return self._capped(ask, allowed, room.limit)
        if self.calls_out:
            return None
        # If others were cut off, what is left is for them to go on.
        if attempt and not self._cut_off and left >= MIN_OUTPUT_TOKENS:
            return self._capped(ask, left, tightest.limit)
        raise refusal(self.limits, tightest.limit)

    def _waits_for_a_call(self, ask: Ask) -> bool:
        """Return whether a call that can be spared is to wait until it is known how many tasks there are.

        Raises:
            LimitExceeded: the limit on calls does not allow it.
        """
        if self.limits.calls is None:
            return False
        kept = 0 if ask.role == "aggregator" else self._kept_calls
        if ask.role == "planner" and not self.anything_planned():
            # A plan is worth nothing if nobody can carry it out.
            kept += 1
        if ask.more is not None:
            # The others go first.
            kept += max(0, self.open_tasks() - 1)
        most = kept
        if ask.spared:
            at_it = 1 + len(self._tasks_out) - (1 if ask.task in self._tasks_out else 0)
            kept, most = (kept + max(0, tasks() - at_it) for tasks in (self.open_tasks, self.tasks_to_come))
        left = self.limits.calls - self.spent.calls - self.calls_out
        if left <= kept:
            raise refusal(self.limits, "calls")
        return left <= most

    def _take_more(self, ask: Ask, more: More, rooms: list[_Room]) -> Reservation | None:
        """Reserve for a call that goes on. Few that end their answers are better than many that do not."""
        tightest = min(rooms, key=lambda room: room.alone)
        wanted = math.inf if ask.output is None else ask.output
        allowed = min(wanted, max(_at_most_one_answer(min(rooms).share), more.rather), tightest.alone)
        if allowed >= min(wanted, max(more.least, ask.prompt * LEAST_GAIN)):
            return self._capped(ask, allowed, tightest.limit)
        if self.calls_out:
            return None
        raise refusal(self.limits, tightest.limit)

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Release a reservation, and book the actual cost of the call."""
        self.book(usage)
        task = reservation.task
        if task is not None and reservation.limit is not None and usage.output_tokens >= (reservation.written or 0):
            self._cut_off += 1
        if task is not None and reservation.merges:
            self._read(task)
        if task is not None and reservation.read_again:
            written = usage.output_tokens - usage.reasoning_tokens
            self._to_read[task] += written
            self._to_read_in_all += written
        self.release(reservation)

    def _read(self, task: str) -> None:
        """Record that nobody is to read any more what a task has written."""
        self._to_read_in_all -= self._to_read.pop(task, 0)

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
        self.cost_out -= reservation.cost
        self._read_again_out -= (reservation.written or 0) if reservation.read_again else 0
        if reservation.task is not None:
            _decrement(self._tasks_out, reservation.task)

    def to_come(self, ask: Ask) -> ToCome:
        """Return among how many calls what is left is to be divided, this one included."""
        if not ask.for_task:
            return ONE
        parts, others = ask.parts(), len(self._tasks_out) + (ask.task not in self._tasks_out)
        if ask.more is not None:
            # Those that nobody has asked for yet may get nothing: fewer then have more.
            known = max(0, self.planned_tasks() - others) + parts.known
            return ToCome(known, known)
        known = max(0, self.open_tasks() - others) + parts.known
        return ToCome(known, max(known, self.tasks_to_come() - others + parts.most))

    def outside(self, ask: Ask) -> Ask:
        """Return what a call with a reservation here asks of the run around this one; `inside` ends its waiting there.

        That run knows nothing of this one's tasks and aggregator, which writes about as much as one of them.
        """
        if ask.task is not None and ask.for_task:
            self._outside.add(ask)
            self._tasks_outside[ask.task] += 1

        def parts() -> ToCome:
            if not ask.for_task:
                return ONE
            more = len(self._tasks_outside) - (1 if ask.task in self._tasks_outside else 0) + self._keeps
            known, most = self.to_come(ask)
            return ToCome(known + more, most + more)

        return replace(
            ask,
            parts=parts,
            read_again=ask.read_again or (self._keeps and ask.for_task),
            merges=ask.merges or ask.role == "aggregator",
            granted=lambda: self.inside(ask),
        )

    def inside(self, ask: Ask) -> None:
        """Record that a call does not wait for the run around this one."""
        if ask in self._outside and ask.task is not None:
            self._outside.discard(ask)
            _decrement(self._tasks_outside, ask.task)

    def _rooms(self, ask: Ask) -> list[_Room]:
        """Return what each limit has for a call."""
        rooms: list[_Room] = []
        limits, kept = self.limits, 0 if ask.role == "aggregator" else 1
        known, most = self.to_come(ask)
        share = PLANNER_SHARE if ask.role == "planner" else 1.0

        def add(limit: str, left: float, part: Callable[[int], float]) -> None:
            each = part(known) * share
            rooms.append(_Room(each, each if most == known else part(most) * share, part(1), left, limit))

        if limits.total_tokens is not None:
            left = limits.total_tokens - self.spent.total_tokens - self.tokens_out - kept * self._kept_tokens
            if kept:
                left -= math.ceil(READ_AGAIN * (self._to_read_in_all + self._read_again_out))
            own = 0.0
            if ask.task is not None and ask.task in self._to_read and (ask.merges or ask.replaces):
                own = READ_AGAIN * self._to_read[ask.task]
            again = 1 + READ_AGAIN if self._is_read_again(ask) else 1.0
            add("total_tokens", left + own - ask.prompt, lambda number: (left / number + own - ask.prompt) / again)
        if limits.output_tokens is not None:
            free = limits.output_tokens - self.spent.output_tokens - self._output_out - kept * self._kept_output
            add("output_tokens", free, lambda number: free / number)
        if limits.cost_usd is not None:
            assert ask.price is not None  # noqa: S101
            money = limits.cost_usd - self.cost_spent - self.cost_out - kept * self._kept_cost
            prompt, per_token = ask.prompt * ask.price.input / MILLION, ask.price.output / MILLION
            room = _tokens_for(money - prompt, per_token)
            add("cost_usd", room, lambda number: _tokens_for(money / number - prompt, per_token))
        return rooms

    def _is_read_again(self, ask: Ask) -> bool:
        return (self._keeps or ask.read_again) and ask.for_task

    def _capped(self, ask: Ask, allowed: float, limit: str) -> Reservation:
        """Reserve for at most `allowed` tokens of output; infinitely many, where it costs nothing."""
        output = None if allowed == math.inf else int(allowed)
        wanted = math.inf if ask.output is None else ask.output
        return self._reserved(ask, ask.prompt + (output or 0), output, limit if allowed < wanted else None)

    def _reserved(self, ask: Ask, tokens: int, output: int | None, limit: str | None) -> Reservation:
        written = output or 0
        cost = 0.0
        if self.limits.cost_usd is not None and ask.price is not None:
            cost = (ask.prompt * ask.price.input + written * ask.price.output) / MILLION
        self.calls_out += 1
        self.tokens_out += tokens
        self._output_out += written
        self.cost_out += cost
        task, read_again = None, False
        if ask.for_task and ask.task is not None:
            task, read_again = ask.task, self._is_read_again(ask)
            self._tasks_out[task] += 1
            self._read_again_out += written if read_again else 0
            if ask.replaces:
                self._read(task)
        ask.granted()
        return Reservation(tokens, output, cost, task, read_again, ask.merges, limit)


def refusal(limits: Limits, limit: str) -> LimitExceeded:
    """Return the error for a call that does not fit into what is left of `limit`."""
    return LimitExceeded(
        f"Limits.{limit} = {getattr(limits, limit)} leaves no room for another call",
        limit=limit,
        hint=f"raise Limits.{limit}",
    )


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _kept_share(tokens: int | None) -> int:
    return min(int((tokens or 0) * KEPT_SHARE), MAX_KEPT_TOKENS)


def _at_most_one_answer(tokens: float) -> float:
    return tokens if tokens == math.inf else min(tokens, MAX_OUTPUT_TOKENS)


def _tokens_for(money: float, per_token: float) -> float:
    if money < 0:
        return -1
    return money / per_token if per_token else math.inf
