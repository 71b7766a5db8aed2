"""The ledger of a run: reserve before a call, settle after it. Limits on spending are enforced here and only here."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

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
# In place of a task's id, in the reservations of planners: no task is called so.
PLANNER = ""


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
class _Ask:
    prompt: int
    output: int | None
    role: Speaker
    task: str | None
    parts: int
    price: Price | None


@dataclass(slots=True, eq=False)
class _Waiter:
    ask: _Ask
    turn: anyio.Event
    given: Reservation | LimitExceeded | None = None
    gone: bool = False


class Ledger:
    """What a run has spent, and what is reserved for calls in flight.

    What is left of a limit is divided among the calls that are still to come: each task that is not done gets an equal
    part of what may be written, and what others leave of theirs is divided again. Where an aggregator merges, each
    token that a subagent may write is set aside twice, as it is read again.

    A call that does not fit because of reservations waits until one is settled, as most calls use less than they
    reserve: first come, first served, but the aggregator goes first. A call that can never fit is refused. Nobody else
    may use the share kept for the aggregator.

    Args:
        limits: what may be spent.
        keep_for_aggregator: whether to keep a share for the aggregator.
        outer: the ledger of the run around this one: what is spent here is spent there too.
        outer_role: as whom the outer run pays for this one; its aggregator may use the share kept there.
        outer_task: the task of the outer run in which this run is nested.

    Attributes:
        open_tasks: returns how many tasks of the run are not done, as far as that is known.
        anything_planned: returns whether there is a task yet, which the planner leaves a call for.
        planning: returns whether the planner may plan more tasks before it waits for results.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        keep_for_aggregator: bool,
        outer: Ledger | None = None,
        outer_role: Speaker = "subagent",
        outer_task: str | None = None,
    ) -> None:
        self.spent = NOTHING
        self.limits = limits
        self.tripped: str | None = None
        self.open_tasks: Callable[[], int] = lambda: 1
        self.planning: Callable[[], bool] = lambda: False
        self.anything_planned: Callable[[], bool] = lambda: True
        self._outer = outer
        self._outer_role = outer_role
        self._outer_task = outer_task
        self._calls_out = 0
        self._planners_out = 0
        self._tasks_out: Counter[str] = Counter()
        self._tokens_out = 0
        self._output_out = 0
        self._cost_out = 0.0
        self._cost_spent = 0.0
        self._written = 0
        self._ahead: deque[_Waiter] = deque()
        self._waiting: deque[_Waiter] = deque()
        self._keeps = keep_for_aggregator
        self._kept_calls = 1 if keep_for_aggregator and (limits.calls or 0) > 1 else 0
        self._kept_tokens = _kept_share(limits.total_tokens) if keep_for_aggregator else 0
        self._kept_output = _kept_share(limits.output_tokens) if keep_for_aggregator else 0
        self._kept_cost = (limits.cost_usd or 0.0) * KEPT_SHARE_OF_COST if keep_for_aggregator else 0.0

    @property
    def limits_cost(self) -> bool:
        """Whether USD are limited, here or in an outer run."""
        return self.limits.cost_usd is not None or (self._outer is not None and self._outer.limits_cost)

    @property
    def limits_tokens(self) -> bool:
        """Whether the length of a prompt matters to a limit, here or in an outer run."""
        length_limits = (self.limits.total_tokens, self.limits.cost_usd)
        return length_limits != (None, None) or (self._outer is not None and self._outer.limits_tokens)

    @property
    def calls_left(self) -> float:
        """How many more calls are allowed, without the aggregator's share; `math.inf` without a limit."""
        outer = math.inf if self._outer is None else self._outer.calls_left
        if self.limits.calls is None:
            return outer
        return min(outer, max(0, self.limits.calls - self._kept_calls - self.spent.calls - self._calls_out))

    def left(self, limits: Limits) -> Limits:
        """Return `limits`, cut to what is left here and in all outer runs.

        Raises:
            LimitExceeded: nothing is left of one of them.
        """
        outer = limits if self._outer is None else self._outer.left(limits)
        spent, own = self.spent, self.limits
        left = {
            "calls": None if own.calls is None else own.calls - spent.calls - self._calls_out,
            "total_tokens": None if own.total_tokens is None else own.total_tokens - spent.total_tokens,
            "output_tokens": None if own.output_tokens is None else own.output_tokens - spent.output_tokens,
            "cost_usd": None if own.cost_usd is None else own.cost_usd - self._cost_spent,
            "concurrency": own.concurrency,
        }
        cut = {
            name: number if (known := getattr(outer, name)) is None else min(known, number)
            for name, number in left.items()
            if number is not None
        }
        for name, number in cut.items():
            if number <= 0:
                raise self._refusal(name)
        return outer.model_copy(update=cut)

    def prompt_room(self, role: Speaker, wanted: int) -> float:
        """Return how many tokens a prompt of `role` may have beside an answer; `math.inf` without a limit.

        If `wanted` are more, the limit counts as reached.
        """
        room = math.inf if self._outer is None else self._outer.prompt_room(self._outer_role, wanted)
        if self.limits.total_tokens is not None:
            left = self.limits.total_tokens - self.spent.total_tokens - self._tokens_out
            left -= 0 if role == "aggregator" else self._kept_tokens
            room = min(room, left - max(MIN_OUTPUT_TOKENS, min(DEFAULT_OUTPUT_TOKENS, left * KEPT_SHARE)))
        if wanted > room:
            self.trip("total_tokens")
        return room

    async def reserve(
        self,
        prompt_tokens: int,
        output_tokens: int | None,
        *,
        role: Speaker = "subagent",
        task: str | None = None,
        parts: int = 1,
        price: Price | None = None,
    ) -> Reservation:
        """Reserve the budget of one call; wait while it does not fit until others have settled.

        Args:
            prompt_tokens: the estimated length of the prompt.
            output_tokens: the most that the call may write; None for what the limits have for it.
            role: who calls: the aggregator may use the kept share.
            task: the task that the call is for.
            parts: how many calls like it the task still takes.
            price: the model's; required where USD are limited.

        Raises:
            LimitExceeded: the call does not fit into what is left, and never will fit.
        """
        ask = _Ask(prompt_tokens, output_tokens, role, task, parts, price)
        own = await self._reserve(ask)
        if self._outer is None:
            return own
        try:
            outer = await self._outer.reserve(
                prompt_tokens,
                own.written,
                role=self._outer_role,
                task=self._outer_task,
                parts=self._calls_to_come(ask),
                price=price,
            )
        except BaseException as error:
            self._release(own)
            if isinstance(error, LimitExceeded):
                self.tripped = self.tripped or error.limit
            raise
        return replace(own, outer=outer)

    async def _reserve(self, ask: _Ask) -> Reservation:
        if not self._ahead and (ask.role == "aggregator" or not self._waiting):
            reservation = self._try(ask)
            if reservation is not None:
                return reservation
        waiter = _Waiter(ask, anyio.Event())
        (self._ahead if ask.role == "aggregator" else self._waiting).append(waiter)
        try:
            await waiter.turn.wait()
        except BaseException:
            self._remove(waiter)
            raise
        if isinstance(waiter.given, LimitExceeded):
            raise waiter.given
        assert waiter.given is not None  # noqa: S101
        return waiter.given

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Release a reservation, and book the actual cost of the call."""
        self._book(usage)
        if reservation.task is not None:
            self._written += usage.output_tokens - usage.reasoning_tokens
        self._release(reservation)
        if self._outer is not None and reservation.outer is not None:
            self._outer.settle(reservation.outer, usage)

    def book(self, usage: Usage) -> None:
        """Book what was spent without a reservation."""
        self._book(usage)
        if self._outer is not None:
            self._outer.book(usage)

    def trip(self, limit: str) -> None:
        """Say that a limit has cut a call short."""
        self.tripped = self.tripped or limit

    def plan_read(self) -> None:
        """Divide what is left among the tasks of a plan: its call was settled before, and now they are all known."""
        self._planners_out -= 1
        self._serve()

    def _book(self, usage: Usage) -> None:
        self.spent += usage
        # An unknown cost makes the sum unknown, and leaves what is known of it to be held.
        self._cost_spent += usage.cost_usd or 0.0

    def _release(self, reservation: Reservation) -> None:
        self._calls_out -= 1
        self._tokens_out -= reservation.tokens
        self._output_out -= reservation.written or 0
        self._cost_out -= reservation.cost
        if reservation.task != PLANNER and reservation.task is not None:
            self._tasks_out[reservation.task] -= 1
            if not self._tasks_out[reservation.task]:
                del self._tasks_out[reservation.task]
        self._serve()

    def _remove(self, waiter: _Waiter) -> None:
        """Remove a waiter that was cancelled, perhaps after it was served."""
        waiter.gone = True
        if isinstance(waiter.given, Reservation):
            self._release(waiter.given)
        else:
            self._serve()

    def _serve(self) -> None:
        """Serve waiters in order, up to the first that does not fit. While anybody waits, a call is in flight."""
        for line in (self._ahead, self._waiting):
            while line:
                if not line[0].gone and not self._try_serve(line[0]):
                    return
                line.popleft()

    def _try_serve(self, waiter: _Waiter) -> bool:
        try:
            waiter.given = self._try(waiter.ask)
        except LimitExceeded as refusal:
            waiter.given = refusal
        if waiter.given is None:
            return False
        waiter.turn.set()
        return True

    def _try(self, ask: _Ask) -> Reservation | None:
        calls = self.limits.calls
        if calls is not None:
            kept = 0 if ask.role == "aggregator" else self._kept_calls
            if ask.role == "planner" and not self.anything_planned():
                # A plan is worth nothing if nobody can carry it out.
                kept += 1
            if self.spent.calls + self._calls_out >= calls - kept:
                raise self._refusal("calls")
        rooms = self._room_per_limit(ask)
        if not rooms:
            return self._take(ask, 0, ask.output, None)
        share, room, limit = min(rooms)
        wanted = DEFAULT_OUTPUT_TOKENS if ask.output is None else ask.output
        if ask.role == "subagent" and share < wanted and self._planners_out:
            # Among how many it is to be divided, is known when the plan is written.
            return None
        # Where shares are too small to say anything, fewer calls have more.
        allowed = int(min(wanted, max(share, MIN_OUTPUT_TOKENS)))
        if room >= allowed:
            return self._take(ask, ask.prompt + allowed, allowed, limit if allowed < wanted else None)
        if self._calls_out:
            return None
        raise self._refusal(limit)

    def _calls_to_come(self, ask: _Ask) -> int:
        """Return among how many calls what is left is to be divided, this one included."""
        if ask.role != "subagent" or ask.task is None:
            return 1
        others = self.open_tasks() - len(self._tasks_out) - (0 if ask.task in self._tasks_out else 1)
        return max(0, others) + ask.parts

    def _room_per_limit(self, ask: _Ask) -> list[tuple[float, float, str]]:
        """Return for each limit: the output tokens that are the call's share, those that there are, and its name."""
        rooms: list[tuple[float, float, str]] = []
        limits, kept, calls = self.limits, 0 if ask.role == "aggregator" else 1, self._calls_to_come(ask)
        read_again = READ_AGAIN if self._keeps and ask.role == "subagent" and ask.task is not None else 0.0
        part = PLANNER_SHARE if ask.role == "planner" else 1.0 / calls
        if limits.total_tokens is not None:
            left = limits.total_tokens - self.spent.total_tokens - self._tokens_out - kept * self._kept_tokens
            if self._keeps and kept:
                left -= math.ceil(READ_AGAIN * (self._written + self._reserved_by_tasks))
            share = (left - calls * ask.prompt) * part / (1 + read_again)
            rooms.append((share, left - ask.prompt, "total_tokens"))
        if limits.output_tokens is not None:
            left = limits.output_tokens - self.spent.output_tokens - self._output_out - kept * self._kept_output
            rooms.append((left * part, left, "output_tokens"))
        if limits.cost_usd is not None:
            assert ask.price is not None  # noqa: S101
            money = limits.cost_usd - self._cost_spent - self._cost_out - kept * self._kept_cost
            prompt, per_token = ask.prompt * ask.price.input / MILLION, ask.price.output / MILLION
            room = _tokens_for(money - prompt, per_token)
            rooms.append((_tokens_for(money - calls * prompt, per_token) * part, room, "cost_usd"))
        return rooms

    @property
    def _reserved_by_tasks(self) -> int:
        return self._output_out if self._tasks_out else 0

    def _take(self, ask: _Ask, tokens: int, output: int | None, limit: str | None) -> Reservation:
        written = output or 0
        cost = 0.0
        if self.limits.cost_usd is not None and ask.price is not None:
            cost = (ask.prompt * ask.price.input + written * ask.price.output) / MILLION
        self._calls_out += 1
        self._tokens_out += tokens
        self._output_out += written
        self._cost_out += cost
        task = ask.task
        if ask.role == "planner":
            self._planners_out += 1
            task = PLANNER
        elif ask.role == "subagent" and task is not None:
            self._tasks_out[task] += 1
        return Reservation(tokens, output, cost, task, limit)

    def _refusal(self, limit: str) -> LimitExceeded:
        self.tripped = self.tripped or limit
        return LimitExceeded(
            f"Limits.{limit} = {getattr(self.limits, limit)} leaves no room for another call",
            limit=limit,
            hint="raise the limit",
        )


def _kept_share(tokens: int | None) -> int:
    return min(int((tokens or 0) * KEPT_SHARE), MAX_KEPT_TOKENS)


def _tokens_for(money: float, per_token: float) -> float:
    if money < 0:
        return -1
    return money / per_token if per_token else math.inf
