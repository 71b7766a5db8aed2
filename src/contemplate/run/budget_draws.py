"""What a run draws from the budgets that it shares with others: it sees its part, reserves, settles, and waits."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar
from uuid import uuid4

import anyio
import anyio.lowlevel
import anyio.to_thread

from ..accounts import ZERO, Amounts, Settlement, Standing
from ..budget import Budget
from ..errors import JournalBusy, JournalError, LimitExceeded
from ..event_loops import call_soon
from ..limits import BUDGET
from ..usage import Price, Usage

T = TypeVar("T")

# Seconds: that a call of an account may block the event loop, and that it may then wait in a thread.
QUICK = 0.02
PATIENCE = 30.0
LAST_WAIT = 5.0
RENEW = 10.0
# How often it is looked what other processes leave.
POLL = 0.2
# What a call may write at least where parts are too small to say anything: then few runs have it, not all of them.
LEAST_OUTPUT = 256
ENOUGH_OUTPUT = 4096
FIELDS = {"calls": "calls", "total_tokens": "tokens", "cost_usd": "cost_usd"}
SAID = {"calls": "calls", "total_tokens": "tokens", "cost_usd": "USD"}
MILLION = 1e6


class Held(NamedTuple):
    """A reservation for one call, made in the window that `opened` then."""

    draw: Draw
    name: str
    opened: float


class Draw:
    """A run among those that draw from `budget`.

    Attributes:
        budget: the budget.
        name: what `stopped_by` says if it is used up.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.name = BUDGET + budget.name
        self.scope = anyio.CancelScope()
        self._run = uuid4().hex
        self._account = budget.account
        self._window = budget.window()
        self._standing = Standing(ZERO, ZERO, ZERO, 1)
        self._settlements: list[Settlement] = []
        self._settling = threading.Lock()
        # Set where something is to be done in a thread, as the account is remote: settling, and looking.
        self._to_do = anyio.Event()
        self._loop = anyio.lowlevel.current_token()
        self._slow = False

    # Looking

    def look(self) -> None:
        """See what is left now; not while others have the account locked, as a reservation is checked in any case.

        What is left of a remote account is known a little later.
        """
        self._settle_quickly()
        self._window = self.budget.window()
        if self._account.remote:
            return
        # A broken journal is the error of the reservation that follows.
        try:
            self._standing = self._account.look(self._window.opened, self._run, 0.0)
        except JournalError:
            return

    def room(self, prompt: int | None, price: Price | None, *, open_ended: bool = False) -> Amounts:
        """Return what the run may reserve now, for a call whose prompt has `prompt` tokens.

        None for a prompt: the run's part alone, whatever others have reserved. An `open_ended` call, which may write
        as much as there is, leaves half of it for runs that come while it is in flight, unless that is little.
        """
        most, standing = self.budget.most, self._standing
        left = most - standing.spent
        runs = standing.runs
        part = Amounts(left.calls / runs, left.tokens / runs, left.cost_usd / runs) - standing.mine
        if prompt is None:
            return part
        least, free = _call(prompt, LEAST_OUTPUT, price), left - standing.out
        if open_ended:
            enough = _call(prompt, ENOUGH_OUTPUT, price)
            tokens = max(free.tokens / 2, min(free.tokens, enough.tokens))
            free = Amounts(free.calls, tokens, max(free.cost_usd / 2, min(free.cost_usd, enough.cost_usd)))
        return Amounts(
            min(free.calls, max(part.calls // 1, least.calls)),
            min(free.tokens, max(part.tokens, least.tokens)),
            min(free.cost_usd, max(part.cost_usd, least.cost_usd)),
        )

    def may_grow(self, limit: str) -> bool:
        """Return whether calls of other runs are in flight that may leave something. A call leaves no call."""
        others = self._standing.out - self._standing.mine
        return limit != "calls" and getattr(others, FIELDS[limit]) > 0

    @property
    def used_up(self) -> str | None:
        """The limit of which all is spent; None if there is none."""
        left = self.budget.most - self._standing.spent
        return next((limit for limit, field in FIELDS.items() if getattr(left, field) <= 0), None)

    def refusal(self, limit: str) -> LimitExceeded:
        """Return the error for a call that does not fit into what is left."""
        most, spent, runs = self.budget.most, self._standing.spent, self._standing.runs
        spent_of, of = (getattr(each, FIELDS[limit]) for each in (spent, most))
        if self._window.ends == math.inf:
            window, wait = "in all", ""
        else:
            opens = datetime.fromtimestamp(self._window.ends, UTC)
            per = self.budget.per if isinstance(self.budget.per, str) else f"window of {self.budget.per:g} s"
            window, wait = f"this {per}", f"wait until {opens:%Y-%m-%d %H:%M:%S} UTC, when the next one opens, or "
        shared = f", and {runs} runs share what is left" if runs > 1 and spent_of < of else ""
        return LimitExceeded(
            f"budget {self.budget.name!r} has no room for another call: "
            f"{spent_of:.6g} of {of:.6g} {SAID[limit]} are spent {window}{shared}",
            limit=self.name,
            hint=f"{wait}give it more: Budget({self.budget.name!r}, {FIELDS[limit]}=...)",
        )

    # Reserving

    async def open(self, *, refuse: bool) -> None:
        """Begin to draw.

        Raises:
            LimitExceeded: with `refuse`, all is spent.
            JournalError: the journal is locked or broken.
        """
        join = partial(self._account.join, self._window.opened, self._run)
        self._standing = await self._patiently(lambda patience: join(patience))
        if refuse and (limit := self.used_up) is not None:
            raise self.refusal(limit)

    async def reserve(self, amounts: Amounts) -> Held | None:
        """Reserve `amounts` for a call; None if others have taken it in the meantime.

        Raises:
            JournalError: the journal is locked or broken.
        """
        self._window = self.budget.window()
        held = Held(self, uuid4().hex, self._window.opened)
        most = self.budget.most
        try:
            refused = await self._patiently(
                lambda patience: self._account.reserve(held.opened, self._run, held.name, amounts, most, patience)
            )
        except BaseException:
            # It may have been reserved before this was cancelled.
            self.settle(held, None)
            raise
        if refused is not None:
            self._standing = refused
            return None
        return held

    def settle(self, held: Held, usage: Usage | None) -> None:
        """Release a reservation, and book what the call used; without `usage`, it was not made.

        Where others have the journal locked, that is done later; until then, what is reserved is nobody else's.
        """
        self._settlements.append(Settlement(held.name, held.opened, ZERO if usage is None else Amounts.of(usage)))
        self._settle_quickly()

    def _settle_quickly(self) -> None:
        if self._account.remote:
            call_soon(self._loop, self._wake)
            return
        try:
            self._settle(0.0 if self._slow else QUICK)
            self._slow = False
        except JournalBusy:
            self._slow = True
        except JournalError:
            # The next reservation fails with it, and `close` says so.
            return

    def _wake(self) -> None:
        self._to_do.set()

    def _settle(self, patience: float) -> None:
        with self._settling:
            settled = tuple(self._settlements)
            if settled:
                self._account.settle(settled, patience)
                del self._settlements[: len(settled)]

    async def _patiently(self, act: Callable[[float], T]) -> T:
        """Return what `act` returns, called in the event loop, or in a thread where it has to wait."""
        if not self._account.remote:
            try:
                return act(QUICK)
            except JournalBusy:
                pass
        patience = max(QUICK, min(PATIENCE, anyio.current_effective_deadline() - anyio.current_time()))
        return await anyio.to_thread.run_sync(act, patience, limiter=anyio.CapacityLimiter(1))

    # Waiting

    @property
    def pause(self) -> float:
        """After how many seconds to look again, if nobody said that anything has changed."""
        return POLL if self._account.shared else max(0.0, self._window.ends - self.budget.now())

    @contextmanager
    def told(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` in this event loop when another run of this process leaves something, until the block ends."""
        token = anyio.lowlevel.current_token()

        def tell() -> None:
            call_soon(token, wake)

        self._account.changed.add(tell)
        try:
            yield
        finally:
            self._account.changed.discard(tell)

    # Lease

    @property
    def leased(self) -> bool:
        """Whether other processes must know that the run lives."""
        return self._account.shared

    async def renew(self) -> None:
        """Renew the lease until the run ends, and settle and look where the account is remote."""
        with self.scope:
            while True:
                with anyio.move_on_after(RENEW) as waiting:
                    await self._to_do.wait()
                try:
                    if waiting.cancelled_caught:
                        await self._patiently(lambda patience: self._account.renew(self._run, patience))
                    else:
                        self._to_do = anyio.Event()
                        await self._patiently(self._catch_up)
                except JournalError:
                    # What was reserved counts as spent until it is settled.
                    await anyio.sleep(POLL)

    def _catch_up(self, patience: float) -> None:
        self._settle(patience)
        self._standing = self._account.look(self._window.opened, self._run, patience)

    async def close(self, *, wait: bool) -> None:
        """End to draw; with `wait`, a journal that is locked is waited for."""
        self.scope.cancel()

        def close(patience: float) -> None:
            self._settle(patience)
            self._account.leave(self._run, patience)

        try:
            try:
                if not (self._account.remote and wait):
                    close(QUICK)
                    return
            except JournalBusy:
                if not wait:
                    raise
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(close, LAST_WAIT, limiter=anyio.CapacityLimiter(1))
        except JournalError as error:
            # What was reserved counts as spent.
            logging.getLogger("contemplate").warning("budget %r was not settled: %s", self.budget.name, error)


@asynccontextmanager
async def drawing(budgets: Iterable[Budget], *, refuse: bool) -> AsyncIterator[Sequence[Draw]]:
    """Draw from budgets during the block.

    Args:
        budgets: the budgets; those that are the same count once.
        refuse: whether to raise if one of them is used up.

    Raises:
        LimitExceeded: one of them is used up.
        JournalError: a journal is locked or broken.
    """
    draws: list[Draw] = []
    wait = True
    try:
        for budget in {each.key: each for each in budgets}.values():
            draws.append(draw := Draw(budget))
            try:
                await draw.open(refuse=refuse)
            except JournalError:
                draws.remove(draw)
                raise
        yield draws
    except GeneratorExit:
        # A coroutine that is closed cannot wait.
        wait = False
        raise
    finally:
        for draw in draws:
            await draw.close(wait=wait)


async def draw_all(draws: Iterable[tuple[Draw, Amounts]]) -> tuple[Held, ...] | None:
    """Reserve amounts of several budgets, or of none of them: then None is returned.

    Raises:
        JournalError: a journal is locked or broken.
    """
    held: list[Held] = []
    try:
        for draw, amounts in draws:
            given = await draw.reserve(amounts)
            if given is None:
                _give_back(held)
                return None
            held.append(given)
    except BaseException:
        _give_back(held)
        raise
    return tuple(held)


def _call(prompt: int, output: int, price: Price | None) -> Amounts:
    cost = 0.0 if price is None else (prompt * price.input + output * price.output) / MILLION
    return Amounts(1, prompt + output, cost)


def _give_back(held: Iterable[Held]) -> None:
    for each in held:
        each.draw.settle(each, None)
