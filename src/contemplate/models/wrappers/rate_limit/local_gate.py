"""The gate of an account that one event loop has to itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import anyio

from ...base import ModelRequest, ModelResponse, RunMark
from .account_state import Pass
from .gate import UsualOutput
from .line import Line
from .pacing import AccountLimits


@dataclass(slots=True, eq=False)
class _Waiter:
    run: RunMark | None
    tokens: float
    turn: anyio.Event = field(default_factory=anyio.Event)
    permit: Pass | None = None


class LocalGate:
    """The queue of calls for one account. See `Gate`.

    It starts no task: one of the waiting calls, the keeper, watches the clock for all.
    """

    def __init__(self, pace: AccountLimits) -> None:
        self.pace = pace
        self._line: Line[_Waiter] = Line()
        self._keeper: _Waiter | None = None
        self._alarm: anyio.CancelScope | None = None
        self._due = inf
        self._output = UsualOutput()

    async def enter(self, run: RunMark | None, request: ModelRequest) -> Pass:
        """Wait for a turn, and return the permit."""
        waiter = _Waiter(run, self._output.estimate(request))
        self._line.join(run, waiter)
        self._serve()
        waits = waiter.permit is None
        if waits:
            request.on_queue("rate")
        try:
            while waiter.permit is None:
                await self._wait(waiter)
        except BaseException:
            if waiter.permit is None:
                self._line.leave(run, waiter)
            else:
                self.pace.unused(waiter.permit, anyio.current_time())
            self._serve()
            raise
        finally:
            if self._keeper is waiter:
                self._hand_over()
        if waits:
            request.on_queue(None)
        return waiter.permit

    def heard(self, permit: Pass) -> None:
        """Note that the answer has begun."""
        self.pace.heard(permit)
        self._serve()

    def answered(self, permit: Pass, response: ModelResponse) -> None:
        """Note that the call was answered."""
        usage = response.usage
        self._output.learn(usage)
        self.pace.answered(permit, anyio.current_time(), calls=max(1, usage.calls), tokens=usage.total_tokens)
        self._serve()

    def refused(self, permit: Pass, retry_after: float | None) -> bool:
        """Note that the provider refused the call for its rate limit; return whether it was one too many."""
        one_too_many = self.pace.refused(permit, anyio.current_time(), retry_after)
        self._serve()
        return one_too_many

    def ended(self, permit: Pass) -> None:
        """Note that the call failed otherwise, or was cancelled."""
        self.pace.ended(permit, anyio.current_time())
        self._serve()

    async def _wait(self, waiter: _Waiter) -> None:
        if self._keeper is None:
            self._keeper = waiter
        if self._keeper is waiter:
            with anyio.CancelScope(deadline=self._due) as self._alarm:
                await waiter.turn.wait()
            self._serve()
        else:
            await waiter.turn.wait()
        if waiter.permit is None and waiter.turn.is_set():
            waiter.turn = anyio.Event()

    def _hand_over(self) -> None:
        self._keeper, self._alarm = self._line.first, None
        if self._keeper is not None:
            self._keeper.turn.set()

    def _serve(self) -> None:
        """Admit calls from the head of the line, up to the first that has to wait."""
        now = anyio.current_time()
        self._due = inf
        while (waiter := self._line.first) is not None:
            delay = self.pace.delay(waiter.tokens, now)
            if delay > 0:
                self._due = now + delay
                break
            self._line.serve(waiter.run, waiter)
            waiter.permit = self.pace.enter(waiter.tokens, now)
            waiter.turn.set()
        if self._alarm is not None:
            self._alarm.deadline = self._due
