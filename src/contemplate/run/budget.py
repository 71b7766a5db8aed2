"""The ledger of a run: reserve before a call, settle after it. Limits on spending are enforced here and only here."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import anyio

from ..errors import LimitExceeded
from ..limits import Limits
from ..usage import NOTHING, Price, Usage

MIN_OUTPUT_TOKENS = 64
DEFAULT_OUTPUT_TOKENS = 4096
KEPT_SHARE = 0.25
MAX_KEPT_TOKENS = 8192
SHARES = 16
MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Reservation:
    """The budget reserved for one call: `tokens` in all, of which at most `written` are output.

    Without a limit on tokens these are 0 and None. `cost` is in USD; `outer` is the reservation in the outer run.
    """

    tokens: int
    written: int | None
    cost: float = 0.0
    outer: Reservation | None = None

    @property
    def output_tokens(self) -> int | None:
        """The most tokens that the call may write; None without a limit."""
        outer = None if self.outer is None else self.outer.output_tokens
        return self.written if outer is None else outer


@dataclass(frozen=True, slots=True)
class _Ask:
    prompt: int
    output: int | None
    aggregator: bool
    price: Price | None


@dataclass(slots=True, eq=False)
class _Waiter:
    ask: _Ask
    turn: anyio.Event
    given: Reservation | LimitExceeded | None = None
    gone: bool = False


class Ledger:
    """What a run has spent, and what is reserved for calls in flight.

    A call that does not fit because of reservations waits until one is settled, as most calls use less than they
    reserve: first come, first served, but the aggregator goes first. A call that can never fit is refused. Nobody else
    may use the share kept for the aggregator.

    Args:
        limits: what may be spent.
        keep_for_aggregator: whether to keep a share for the aggregator.
        outer: the ledger of the run around this one: what is spent here is spent there too.
        for_aggregator: whether this run is part of the outer run's aggregator, and may use its share.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        keep_for_aggregator: bool,
        outer: Ledger | None = None,
        for_aggregator: bool = False,
    ) -> None:
        self.spent = NOTHING
        self.limits = limits
        self.tripped: str | None = None
        self._outer = outer
        self._for_aggregator = for_aggregator
        self._calls_out = 0
        self._tokens_out = 0
        self._output_out = 0
        self._cost_out = 0.0
        self._ahead: deque[_Waiter] = deque()
        self._waiting: deque[_Waiter] = deque()
        self._kept_calls = 1 if keep_for_aggregator and (limits.calls or 0) > 1 else 0
        self._kept_tokens = _kept_share(limits.total_tokens) if keep_for_aggregator else 0
        self._kept_output = _kept_share(limits.output_tokens) if keep_for_aggregator else 0
        self._kept_cost = (limits.cost_usd or 0.0) * KEPT_SHARE if keep_for_aggregator else 0.0

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
            "cost_usd": None if own.cost_usd is None else own.cost_usd - (spent.cost_usd or 0.0),
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

    async def reserve(
        self,
        prompt_tokens: int,
        output_tokens: int | None,
        *,
        aggregator: bool = False,
        price: Price | None = None,
    ) -> Reservation:
        """Reserve the budget of one call; wait while it does not fit until others have settled.

        Args:
            prompt_tokens: the estimated length of the prompt.
            output_tokens: the most that the call may write; None for a default that leaves room for others.
            aggregator: whether the call may use the kept share.
            price: the model's; required where USD are limited.

        Raises:
            LimitExceeded: the call does not fit into what is left, and never will fit.
        """
        own = await self._reserve(_Ask(prompt_tokens, output_tokens, aggregator, price))
        if self._outer is None:
            return own
        try:
            outer = await self._outer.reserve(prompt_tokens, own.written, aggregator=self._for_aggregator, price=price)
        except BaseException as error:
            self._release(own)
            if isinstance(error, LimitExceeded):
                self.tripped = self.tripped or error.limit
            raise
        return replace(own, outer=outer)

    async def _reserve(self, ask: _Ask) -> Reservation:
        if not self._ahead and (ask.aggregator or not self._waiting):
            reservation = self._try(ask)
            if reservation is not None:
                return reservation
        waiter = _Waiter(ask, anyio.Event())
        (self._ahead if ask.aggregator else self._waiting).append(waiter)
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
        self.spent += usage
        self._release(reservation)
        if self._outer is not None and reservation.outer is not None:
            self._outer.settle(reservation.outer, usage)

    def book(self, usage: Usage) -> None:
        """Book what was spent without a reservation."""
        self.spent += usage
        if self._outer is not None:
            self._outer.book(usage)

    def _release(self, reservation: Reservation) -> None:
        self._calls_out -= 1
        self._tokens_out -= reservation.tokens
        self._output_out -= reservation.written or 0
        self._cost_out -= reservation.cost
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
            kept = 0 if ask.aggregator else self._kept_calls
            if self.spent.calls + self._calls_out >= calls - kept:
                raise self._refusal("calls")
        rooms = self._room_per_limit(ask)
        if not rooms:
            return self._take(ask, 0, ask.output)
        room, limit, _ = min(rooms)
        wanted = ask.output
        if wanted is None:
            share = min(whole for *_, whole in rooms) / SHARES
            wanted = int(min(DEFAULT_OUTPUT_TOKENS, max(share, MIN_OUTPUT_TOKENS)))
        if room >= wanted:
            return self._take(ask, ask.prompt + wanted, wanted)
        if self._calls_out:
            return None
        if room >= MIN_OUTPUT_TOKENS:
            return self._take(ask, ask.prompt + int(room), int(room))
        raise self._refusal(limit)

    def _room_per_limit(self, ask: _Ask) -> list[tuple[float, str, float]]:
        """Return for each limit: the tokens that the call may write within it, its name, the tokens of all calls."""
        rooms: list[tuple[float, str, float]] = []
        limits, share = self.limits, 0 if ask.aggregator else 1
        if limits.total_tokens is not None:
            left = limits.total_tokens - self.spent.total_tokens - self._tokens_out - share * self._kept_tokens
            rooms.append((left - ask.prompt, "total_tokens", limits.total_tokens))
        if limits.output_tokens is not None:
            left = limits.output_tokens - self.spent.output_tokens - self._output_out - share * self._kept_output
            rooms.append((left, "output_tokens", limits.output_tokens))
        if limits.cost_usd is not None:
            assert ask.price is not None  # noqa: S101
            money = limits.cost_usd - (self.spent.cost_usd or 0.0) - self._cost_out - share * self._kept_cost
            money -= ask.prompt * ask.price.input / MILLION
            per_token = ask.price.output / MILLION
            rooms.append((_tokens_for(money, per_token), "cost_usd", _tokens_for(limits.cost_usd, per_token)))
        return rooms

    def _take(self, ask: _Ask, tokens: int, output: int | None) -> Reservation:
        written = output or 0
        cost = 0.0
        if self.limits.cost_usd is not None and ask.price is not None:
            cost = (ask.prompt * ask.price.input + written * ask.price.output) / MILLION
        self._calls_out += 1
        self._tokens_out += tokens
        self._output_out += written
        self._cost_out += cost
        return Reservation(tokens, output, cost)

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
