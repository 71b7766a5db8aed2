"""The ledger of a run: reserve before a call, settle after it. Limits on spending are enforced here and only here."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import anyio

from ..accounts import Amounts
from ..errors import LimitExceeded
from ..events import Speaker
from ..limits import Limits
from ..usage import Price, Usage
from .budget_draws import FIELDS, Draw, draw_all
from .shares import Ask, More, Reservation, Shares, refusal


@dataclass(slots=True, eq=False)
class _Waiter:
    ask: Ask
    turn: anyio.Event
    given: Reservation | LimitExceeded | None = None
    gone: bool = False
    told: bool = False

    def tell(self) -> None:
        """Tell the call that it has to wait, once."""
        if not (self.told or self.gone):
            self.told = True
            self.ask.on_wait()


class Ledger:
    """What a run has spent, and what is reserved for calls in flight; `Shares` says how much each of them may have.

    A call that does not fit because of reservations waits until one is settled, as most calls use less than they
    reserve: first come, first served, but the aggregator goes first, and what can be spared last. A call that can never
    fit is refused. Nobody else may use the share kept for the aggregator.

    Args:
        limits: what may be spent.
        keep_for_aggregator: whether to keep a share for the aggregator.
        outer: the ledger of the run around this one: what is spent here is spent there too.
        outer_role: as whom the outer run pays for this one; its aggregator may use the share kept there.
        outer_task: the task of the outer run in which this run is nested.
        draws: what the run draws from budgets that others draw from, too.
        waits: whether a call may wait for what other runs leave of these; not where it blocks one of them.

    Attributes:
        limits: what may be spent, apart from budgets.
        shares: what is spent, reserved and left.
        limits_cost: whether USD are limited, here or in an outer run.
        spared: the tasks that have an answer already, so that their calls can be spared.
        tripped: the first limit that refused a call or cut one short; None if none did.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        keep_for_aggregator: bool,
        outer: Ledger | None = None,
        outer_role: Speaker = "subagent",
        outer_task: str | None = None,
        draws: Sequence[Draw] = (),
        waits: bool = True,
    ) -> None:
        self.limits = limits
        self.draws = draws
        own = limits.cost_usd is not None or any(each.budget.cost_usd is not None for each in draws)
        self.limits_cost: bool = own or (outer is not None and outer.limits_cost)
        self._waits = waits
        self._bound: dict[str, Draw] = {}
        self.shares = Shares(self._within_budgets(None), keep_for_aggregator=keep_for_aggregator)
        self.spared: set[str] = set()
        self.tripped: str | None = None
        self._outer = outer
        self._outer_role = outer_role
        self._outer_task = outer_task
        self._ahead: deque[_Waiter] = deque()
        self._waiting: deque[_Waiter] = deque()
        self._last: deque[_Waiter] = deque()

    @property
    def spent(self) -> Usage:
        """What all calls so far have used."""
        return self.shares.spent

    @property
    def limits_tokens(self) -> bool:
        """Whether the length of a prompt matters to a limit, here or in an outer run."""
        own = self.shares.limits
        length_limits = (own.total_tokens, own.cost_usd)
        return length_limits != (None, None) or (self._outer is not None and self._outer.limits_tokens)

    @property
    def divides(self) -> bool:
        """Whether there is anything to divide among calls, here or in an outer run."""
        own = self.shares.limits
        limited = (own.total_tokens, own.output_tokens, own.cost_usd) != (None, None, None)
        return limited or (self._outer is not None and self._outer.divides)

    @property
    def calls_left(self) -> float:
        """How many more calls are allowed, without the aggregator's share; `math.inf` without a limit."""
        self._look(0)
        return min(self.shares.calls_left, math.inf if self._outer is None else self._outer.calls_left)

    @property
    def tokens_left(self) -> float:
        """How many more tokens are allowed, without the aggregator's share; `math.inf` without a limit."""
        self._look(0)
        return min(self.shares.tokens_left, math.inf if self._outer is None else self._outer.tokens_left)

    @property
    def cost_usd_left(self) -> float:
        """How many more USD are allowed, without the aggregator's share; `math.inf` without a limit."""
        self._look(0)
        return min(self.shares.cost_usd_left, math.inf if self._outer is None else self._outer.cost_usd_left)

    def left(self, limits: Limits) -> Limits:
        """Return `limits`, cut to what is left here and in all outer runs.

        Raises:
            LimitExceeded: nothing is left of one of them.
        """
        outer = limits if self._outer is None else self._outer.left(limits)
        spent, own = self.spent, self.limits
        left = {
            "calls": None if own.calls is None else own.calls - spent.calls - self.shares.calls_out,
            "total_tokens": None if own.total_tokens is None else own.total_tokens - spent.total_tokens,
            "output_tokens": None if own.output_tokens is None else own.output_tokens - spent.output_tokens,
            "cost_usd": None if own.cost_usd is None else own.cost_usd - self.shares.cost_spent,
            "concurrency": own.concurrency,
        }
        cut = {
            name: number if (known := getattr(outer, name)) is None else min(known, number)
            for name, number in left.items()
            if number is not None
        }
        for name, number in cut.items():
            if number <= 0:
                self.trip(name)
                raise refusal(self.limits, name)
        return outer.model_copy(update=cut)

    def prompt_room(self, role: Speaker, wanted: int) -> float:
        """Return how many tokens a prompt of `role` may have beside an answer; `math.inf` without a limit.

        If `wanted` are more, the limit counts as reached.
        """
        outer = math.inf if self._outer is None else self._outer.prompt_room(self._outer_role, wanted)
        self._look(wanted)
        room = min(outer, self.shares.prompt_room(role))
        if wanted > room:
            self.trip(self._named("total_tokens"))
        return room

    async def reserve(
        self,
        prompt_tokens: int,
        output_tokens: int | None,
        *,
        role: Speaker = "subagent",
        task: str | None = None,
        price: Price | None = None,
        more: More | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Reservation:
        """Reserve the budget of one call; wait while it does not fit until others have settled.

        Args:
            prompt_tokens: the estimated length of the prompt.
            output_tokens: the most that the call may write; None for what the limits have for it.
            role: who calls: the aggregator may use the kept share.
            task: the task that the call is for.
            price: the model's; required where USD are limited.
            more: what the call needs to go on with an answer that was cut off.
            on_wait: called if it has to wait.

        Raises:
            LimitExceeded: the call does not fit into what is left, and never will fit.
            JournalError: a budget's journal is locked or broken.
        """
        spared = role == "subagent" and task in self.spared
        ask = Ask(prompt_tokens, output_tokens, role, task, price, spared=spared, more=more, on_wait=on_wait)
        while True:
            own = await self._reserve_everywhere(ask)
            wanted = self._drawn_by(own)
            if not wanted:
                return own
            # Last, as whoever waits must hold nothing that other runs may wait for.
            try:
                drawn = await draw_all(wanted)
            except BaseException:
                self._release_everywhere(own)
                raise
            if drawn is not None:
                return own._replace(drawn=drawn)
            self._release_everywhere(own)

    async def _reserve_everywhere(self, ask: Ask) -> Reservation:
        own = self._at_once(ask) or await self._in_turn(ask)
        if self._outer is None:
            return own
        theirs = self.shares.outside(ask)
        theirs = replace(theirs, output=own.written, role=self._outer_role, task=self._outer_task)
        try:
            outer = await self._outer._reserve_everywhere(theirs)
        except BaseException as error:
            self._release(own)
            if isinstance(error, LimitExceeded) and not ask.has_an_answer:
                self.trip(error.limit)
            raise
        finally:
            self.shares.inside(ask)
        return own._replace(outer=outer)

    def _at_once(self, ask: Ask) -> Reservation | None:
        """Reserve here, unless the call is to wait."""
        if self._ahead or (ask.role != "aggregator" and (self._waiting or (ask.spared and self._last))):
            return None
        return self._try(ask)

    async def _in_turn(self, ask: Ask) -> Reservation:
        waiter = _Waiter(ask, anyio.Event())
        line = self._ahead if ask.role == "aggregator" else self._last if ask.spared else self._waiting
        line.append(waiter)
        if not self.shares.handing_out():
            waiter.tell()
        try:
            await self._turn_of(waiter)
        except BaseException:
            self._remove(waiter)
            raise
        if isinstance(waiter.given, LimitExceeded):
            raise waiter.given
        assert waiter.given is not None  # noqa: S101
        return waiter.given

    def settle(self, reservation: Reservation, usage: Usage, *, made: bool = True) -> None:
        """Release a reservation, and book what the call used.

        Of one that was not `made`, as its answer was there, budgets have it all back: nothing was paid. The limits of a
        run count it, as they say how far a run goes, whoever has asked the same before.
        """
        for each in reservation.drawn:
            each.draw.settle(each, usage if made else None)
        self.shares.settle(reservation, usage)
        self._serve()
        if self._outer is not None and reservation.outer is not None:
            self._outer.settle(reservation.outer, usage)

    def book(self, usage: Usage) -> None:
        """Book what was spent without a reservation: elsewhere or earlier, so that budgets have it already."""
        self.shares.book(usage)
        if self._outer is not None:
            self._outer.book(usage)

    def trip(self, limit: str) -> None:
        """Say that a limit has refused a call, or cut one short."""
        self.tripped = self.tripped or limit

    def divide_again(self) -> None:
        """Serve those who wait, as it is known now among how many what is left is to be divided."""
        self._serve()
        if not self.shares.handing_out():
            for line in (self._ahead, self._waiting, self._last):
                for waiter in line:
                    waiter.tell()
        if self._outer is not None:
            self._outer.divide_again()

    def _release_everywhere(self, reservation: Reservation) -> None:
        self._release(reservation)
        if self._outer is not None and reservation.outer is not None:
            self._outer._release_everywhere(reservation.outer)

    def _release(self, reservation: Reservation) -> None:
        self.shares.release(reservation)
        self._serve()

    def _remove(self, waiter: _Waiter) -> None:
        """Remove a waiter that was cancelled, perhaps after it was served."""
        waiter.gone = True
        if isinstance(waiter.given, Reservation):
            self._release(waiter.given)
        else:
            self._serve()

    def _serve(self) -> None:
        """Serve waiters in order, up to the first that does not fit.

        While anybody waits, a call is in flight, or the planner is at work: one of them ends with this.
        """
        for line in (self._ahead, self._waiting, self._last):
            while line:
                if not line[0].gone and not self._try_serve(line[0]):
                    return
                line.popleft()

    def _try_serve(self, waiter: _Waiter) -> bool:
        try:
            waiter.given = self._try(waiter.ask)
        except LimitExceeded as refused:
            waiter.given = refused
        if waiter.given is None:
            return False
        waiter.turn.set()
        return True

    def _try(self, ask: Ask) -> Reservation | None:
        if self.draws:
            self._look(ask.prompt, ask.price, open_ended=ask.output is None)
        try:
            taken = self.shares.take(ask)
        except LimitExceeded as refused:
            # Whoever has an answer already, says what became of it.
            goes_on = ask.has_an_answer
            draw = self._bound.get(refused.limit)
            if draw is not None and self._waits and not goes_on and draw.may_grow(refused.limit):
                return None
            if not goes_on:
                self.trip(self._named(refused.limit))
            raise refused if draw is None else draw.refusal(refused.limit) from None
        if taken is None or taken.limit not in self._bound:
            return taken
        return taken._replace(limit=self._bound[taken.limit].name)

    # Budgets that runs share

    @property
    def all_draws(self) -> tuple[Draw, ...]:
        """What is drawn from budgets, here and in all outer runs."""
        return (*self.draws, *(() if self._outer is None else self._outer.all_draws))

    def _look(self, prompt: int, price: Price | None = None, *, open_ended: bool = False) -> None:
        """See what is left of the budgets now, for a call whose prompt has `prompt` tokens."""
        if not self.draws:
            return
        for draw in self.draws:
            draw.look()
        self.shares.limits = self._within_budgets(prompt, price, open_ended=open_ended)

    def _within_budgets(self, prompt: int | None, price: Price | None = None, *, open_ended: bool = False) -> Limits:
        """Return the limits, cut to what the run may draw."""
        if not self.draws:
            return self.limits
        used: dict[str, float] = dict.fromkeys(FIELDS, 0.0)
        if prompt is not None:
            spent, own = self.shares.spent, self.shares
            used = {
                "calls": spent.calls + own.calls_out,
                "total_tokens": spent.total_tokens + own.tokens_out,
                "cost_usd": own.cost_spent + own.cost_out,
            }
        cut: dict[str, float] = {}
        self._bound = {}
        for draw in self.draws:
            room = draw.room(prompt, price, open_ended=open_ended)
            for limit, field in FIELDS.items():
                allowed = used[limit] + getattr(room, field)
                known = cut.get(limit, getattr(self.limits, limit))
                if allowed < (math.inf if known is None else known):
                    cut[limit] = allowed if limit == "cost_usd" else int(allowed)
                    self._bound[limit] = draw
        return self.limits.model_copy(update=cut)

    def _named(self, limit: str) -> str:
        return self._bound[limit].name if limit in self._bound else limit

    def _drawn_by(self, reservation: Reservation) -> list[tuple[Draw, Amounts]]:
        drawn = [(draw, Amounts(1, reservation.tokens, reservation.cost)) for draw in self.draws]
        if self._outer is not None and reservation.outer is not None:
            drawn += self._outer._drawn_by(reservation.outer)
        return drawn

    async def _turn_of(self, waiter: _Waiter) -> None:
        if not self.draws:
            await waiter.turn.wait()
            return
        with ExitStack() as told:
            for draw in self.draws:
                told.enter_context(draw.told(self._serve))
            while not waiter.turn.is_set():
                with anyio.move_on_after(min(draw.pause for draw in self.draws)):
                    await waiter.turn.wait()
                    return
                self._serve()
