"""Rate limits for all models of an account: requests and tokens per minute, and concurrent calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf

import anyio

from ...arguments import checked_arguments
from ...errors import ConfigurationError, ModelRateLimitError
from ..base import Delta, DeltaSink, Model, ModelRequest, ModelResponse, RunMark, outermost_run
from ..per_loop import PerLoop
from ..tokens import request_tokens
from .base import Wrapper
from .pacing import AccountLimits, Line, Pass

USUAL_OUTPUT_TOKENS = 512.0
SMOOTHING = 0.1

_Allowed = tuple[int | None, int | None, int | None, bool]


class Limit(Wrapper):
    """A model whose calls wait until the rate limits of the account allow them.

    All models of one account in an event loop share its limits. Tokens are estimated before a call and corrected by
    its usage; without `ModelSettings.max_tokens`, the answer is assumed to be as long as earlier ones. When the
    provider refuses a call for its rate limit, the number of concurrent calls is halved, and then grows again with each
    answer; a pause that the provider asks for applies to all calls. A refused call waits for its turn again while
    others are in flight, as it was one too many beside them; its error is raised if it was alone. Runs take turns, and
    the calls of each run keep their order.

    Put `Retry` around it, not inside it, so that a call that waits for a retry does not count as concurrent.

    Args:
        inner: the model.
        requests_per_minute: may be used all at once, as most providers count them; None for no limit.
        tokens_per_minute: input and output together; None for no limit.
        concurrency: concurrent calls; if None, as many as the provider accepts.
        window: whether the limits hold for any 60 seconds. By default they are token buckets, as OpenAI's and
            Anthropic's are: full at first and refilled meanwhile, so that the first minute has room for almost twice
            as many.
        account: the account that the limits apply to; the model's name if None.

    Raises:
        ConfigurationError: a limit is less than one.
    """

    @checked_arguments
    def __init__(
        self,
        inner: Model,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        concurrency: int | None = None,
        window: bool = False,
        account: str | None = None,
    ) -> None:
        super().__init__(inner)
        limits = (requests_per_minute, tokens_per_minute, concurrency)
        self._allowed = (*limits, window)
        if any(limit is not None and limit < 1 for limit in limits):
            raise ConfigurationError(f"Limit{limits}: a limit must be at least 1", hint="None means no limit")
        self._account = account or inner.name

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request` when the limits allow it.

        Raises:
            ConfigurationError: another model of the account has other limits.
            ModelError: the call failed.
        """
        gate = _gate_of(self._account, self._allowed)
        while True:
            permit = await gate.enter(outermost_run(), request)
            sink = on_delta
            if permit.probe and on_delta is not None:
                sink = _FirstPiece(on_delta, partial(gate.heard, permit))
            try:
                response = await self.inner.request(request, sink)
            except ModelRateLimitError as error:
                if not error.transient:
                    gate.ended(permit)
                    raise
                one_too_many = gate.refused(permit, error.retry_after)
                if not one_too_many or _is_too_late(error):
                    raise
                continue
            except BaseException:
                gate.ended(permit)
                raise
            gate.answered(permit, response)
            return response


def _is_too_late(error: ModelRateLimitError) -> bool:
    return anyio.current_time() + (error.retry_after or 0.0) >= anyio.current_effective_deadline()


class _FirstPiece:
    """A delta sink that passes pieces on, and calls `on_first` at the first."""

    def __init__(self, on_delta: DeltaSink, on_first: Callable[[], None]) -> None:
        self._on_delta = on_delta
        self._on_first: Callable[[], None] | None = on_first

    def __call__(self, delta: Delta) -> None:
        if self._on_first is not None:
            self._on_first()
            self._on_first = None
        self._on_delta(delta)


@dataclass(slots=True, eq=False)
class _Waiter:
    run: RunMark | None
    tokens: float
    turn: anyio.Event = field(default_factory=anyio.Event)
    permit: Pass | None = None


class Gate:
    """The queue of calls for one account.

    It starts no task: one of the waiting calls, the keeper, watches the clock for all.
    """

    def __init__(self, pace: AccountLimits) -> None:
        self.pace = pace
        self._line: Line[_Waiter] = Line()
        self._keeper: _Waiter | None = None
        self._alarm: anyio.CancelScope | None = None
        self._due = inf
        self._usual_output = USUAL_OUTPUT_TOKENS

    async def enter(self, run: RunMark | None, request: ModelRequest) -> Pass:
        """Wait for a turn, and return the permit."""
        waiter = _Waiter(run, self._estimate(request))
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
        self._usual_output += SMOOTHING * (usage.output_tokens - self._usual_output)
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

    def _estimate(self, request: ModelRequest) -> float:
        return request_tokens(request) + (request.settings.max_tokens or self._usual_output)

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


_gates: PerLoop[dict[str, tuple[_Allowed, Gate]]] = PerLoop("gates", dict)


def _gate_of(account: str, allowed: _Allowed) -> Gate:
    gates = _gates.here()
    known, gate = gates.setdefault(account, (allowed, Gate(AccountLimits(*allowed))))
    if known != allowed:
        raise ConfigurationError(
            f"Limit: account {account!r} has the limits {known} elsewhere, but {allowed} here",
            hint="use the same limits, or another account",
        )
    return gate
