"""The ledger of a run: reserve before a call, settle after it. The one place where a limit on spending trips."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import anyio

from .errors import LimitExceeded
from .usage import Limits, Usage

MIN_OUTPUT_TOKENS = 64
DEFAULT_OUTPUT_TOKENS = 4096
KEPT_SHARE = 0.25
MAX_KEPT_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call may spend: its prompt and `output_tokens` (None: no limit on tokens)."""

    tokens: int
    output_tokens: int | None


@dataclass(slots=True, eq=False)
class _Waiter:
    prompt: int
    wanted: int | None
    aggregator: bool
    turn: anyio.Event
    given: Reservation | LimitExceeded | None = None
    gone: bool = False


class Ledger:
    """What a run has spent, and has promised to calls that are still out.

    A call that does not fit because of promises waits until one is settled, as most calls stay below their promise:
    first come, first served, but for the aggregator, which goes ahead of all. One that cannot fit any more is refused.
    The share kept for the aggregator is closed to everyone else.
    """

    def __init__(self, limits: Limits, *, keep_for_aggregator: bool) -> None:
        self.spent = Usage()
        self.limits = limits
        self.tripped: str | None = None
        self._calls_out = 0
        self._tokens_out = 0
        self._ahead: deque[_Waiter] = deque()
        self._waiting: deque[_Waiter] = deque()
        self._kept_calls = 1 if keep_for_aggregator and (limits.calls or 0) > 1 else 0
        self._kept_tokens = 0
        if keep_for_aggregator and limits.total_tokens is not None:
            self._kept_tokens = min(int(limits.total_tokens * KEPT_SHARE), MAX_KEPT_TOKENS)

    @property
    def calls_left(self) -> float:
        """How many more calls there is room for, the aggregator's share left out; `math.inf` without a limit."""
        if self.limits.calls is None:
            return math.inf
        return max(0, self.limits.calls - self._kept_calls - self.spent.calls - self._calls_out)

    async def reserve(self, prompt_tokens: int, output_tokens: int | None, *, aggregator: bool = False) -> Reservation:
        """Set aside one call with its tokens; waits while it only fits when others have settled.

        Args:
            prompt_tokens: an estimate of the prompt's length.
            output_tokens: the most the caller wants written; None for a default that leaves room for others.
            aggregator: whether the kept share may be used.

        Raises:
            LimitExceeded: the call does not fit into what is left, and never will.
        """
        if not self._ahead and (aggregator or not self._waiting):
            reservation = self._try(prompt_tokens, output_tokens, aggregator)
            if reservation is not None:
                return reservation
        waiter = _Waiter(prompt_tokens, output_tokens, aggregator, anyio.Event())
        (self._ahead if aggregator else self._waiting).append(waiter)
        try:
            await waiter.turn.wait()
        except BaseException:
            self._leave(waiter)
            raise
        if isinstance(waiter.given, LimitExceeded):
            raise waiter.given
        assert waiter.given is not None  # noqa: S101
        return waiter.given

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Give back a reservation, and book what the call really cost."""
        self.book(usage)
        self._give_back(reservation)

    def book(self, usage: Usage) -> None:
        """Count what was spent without a reservation."""
        self.spent += usage

    def _give_back(self, reservation: Reservation) -> None:
        self._calls_out -= 1
        self._tokens_out -= reservation.tokens
        self._serve()

    def _leave(self, waiter: _Waiter) -> None:
        """A waiter was cancelled, perhaps after it had been served."""
        waiter.gone = True
        if isinstance(waiter.given, Reservation):
            self._give_back(waiter.given)
        else:
            self._serve()

    def _serve(self) -> None:
        """Serve those at the head of the line, up to the first that has to wait on. Whoever waits, a call is out."""
        for line in (self._ahead, self._waiting):
            while line:
                if not line[0].gone and not self._served(line[0]):
                    return
                line.popleft()

    def _served(self, waiter: _Waiter) -> bool:
        try:
            waiter.given = self._try(waiter.prompt, waiter.wanted, waiter.aggregator)
        except LimitExceeded as refusal:
            waiter.given = refusal
        if waiter.given is None:
            return False
        waiter.turn.set()
        return True

    def _try(self, prompt: int, wanted: int | None, aggregator: bool) -> Reservation | None:
        calls = self.limits.calls
        if calls is not None:
            kept = 0 if aggregator else self._kept_calls
            if self.spent.calls + self._calls_out >= calls - kept:
                raise self._refusal("calls", calls)
        total = self.limits.total_tokens
        if total is None:
            return self._out(0, wanted)
        left = total - self.spent.total_tokens - self._tokens_out - (0 if aggregator else self._kept_tokens)
        ask = wanted or min(DEFAULT_OUTPUT_TOKENS, max(total // 16, MIN_OUTPUT_TOKENS))
        if left >= prompt + ask:
            return self._out(prompt + ask, ask)
        if self._calls_out:
            return None
        if left >= prompt + MIN_OUTPUT_TOKENS:
            return self._out(left, left - prompt)
        raise self._refusal("total_tokens", total)

    def _out(self, tokens: int, output_tokens: int | None) -> Reservation:
        self._calls_out += 1
        self._tokens_out += tokens
        return Reservation(tokens, output_tokens)

    def _refusal(self, limit: str, cap: int) -> LimitExceeded:
        self.tripped = self.tripped or limit
        return LimitExceeded(
            f"Limits.{limit} = {cap} leaves no room for another call", limit=limit, hint="raise the limit"
        )
