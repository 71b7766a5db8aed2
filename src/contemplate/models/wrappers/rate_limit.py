"""As many calls as an account allows, for all who use it: requests and tokens a minute, calls at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import anyio
from anyio.lowlevel import RunVar

from ...errors import ConfigurationError, ModelRateLimitError
from ..base import Delta, DeltaSink, Model, ModelRequest, ModelResponse, RunMark, outermost_run
from ..tokens import request_tokens
from .base import Wrapper
from .pacing import Line, Pace, Pass

USUAL_OUTPUT_TOKENS = 512.0
SMOOTHING = 0.1

_Allowed = tuple[int | None, int | None, int | None]


class Limit(Wrapper):
    """A model whose calls wait until the account has room for them.

    All models of one account in an event loop share its limits. Tokens are estimated before a call and corrected by
    its usage; without `ModelSettings.max_tokens` its answer is expected to be as long as others were. When the
    provider refuses a call as one too many, half as many may be out at one moment, and then, answer by answer, more
    again; a pause that it asks for holds for all. Runs take turns, and each run's calls keep their order.

    Put `Retry` around it, and not inside: so a call that waits to be made again takes no room.

    Args:
        inner: the model.
        requests_per_minute: None for no limit; they may go at once, as providers count.
        tokens_per_minute: of input and output together; None for no limit.
        concurrency: calls at one moment; if None, as many as the provider takes.
        account: what the limits belong to; the model's name if None.

    Raises:
        ConfigurationError: a limit is less than one.
    """

    def __init__(
        self,
        inner: Model,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        concurrency: int | None = None,
        account: str | None = None,
    ) -> None:
        super().__init__(inner)
        self._allowed = (requests_per_minute, tokens_per_minute, concurrency)
        if any(limit is not None and limit < 1 for limit in self._allowed):
            raise ConfigurationError(f"Limit{self._allowed}: a limit is at least 1", hint="None is no limit")
        self._account = account or inner.name

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, when it is its turn.

        Raises:
            ConfigurationError: the same account was given other limits elsewhere.
            ModelError: the call failed.
        """
        gate = _gate_of(self._account, self._allowed)
        given = await gate.enter(outermost_run(), request)
        sink = on_delta
        if given.probe and on_delta is not None:
            sink = _Heard(on_delta, lambda: gate.heard(given))
        try:
            response = await self.inner.request(request, sink)
        except ModelRateLimitError as error:
            gate.refused(given, error.retry_after)
            raise
        except BaseException:
            gate.ended(given)
            raise
        gate.answered(given, response)
        return response


class _Heard:
    """Passes pieces on, and tells of the first."""

    def __init__(self, on_delta: DeltaSink, tell: Callable[[], None]) -> None:
        self._on_delta = on_delta
        self._tell: Callable[[], None] | None = tell

    def __call__(self, delta: Delta) -> None:
        if self._tell is not None:
            self._tell()
            self._tell = None
        self._on_delta(delta)


@dataclass(slots=True, eq=False)
class _Waiter:
    run: RunMark | None
    tokens: float
    turn: anyio.Event = field(default_factory=anyio.Event)
    given: Pass | None = None


class Gate:
    """Where the calls of one account wait.

    No task of its own: one of those who wait, the keeper, minds the clock for all.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._line: Line[_Waiter] = Line()
        self._keeper: _Waiter | None = None
        self._alarm: anyio.CancelScope | None = None
        self._due = inf
        self._usual_output = USUAL_OUTPUT_TOKENS

    async def enter(self, run: RunMark | None, request: ModelRequest) -> Pass:
        """Wait for a turn."""
        waiter = _Waiter(run, self._estimate(request))
        self._line.join(run, waiter)
        self._serve()
        try:
            while waiter.given is None:
                await self._wait(waiter)
        except BaseException:
            if waiter.given is None:
                self._line.leave(run, waiter)
            else:
                self.pace.unused(waiter.given, anyio.current_time())
            self._serve()
            raise
        finally:
            if self._keeper is waiter:
                self._hand_over()
        return waiter.given

    def heard(self, given: Pass) -> None:
        """The answer has begun."""
        self.pace.heard(given)
        self._serve()

    def answered(self, given: Pass, response: ModelResponse) -> None:
        """The answer is there."""
        usage = response.usage
        self._usual_output += SMOOTHING * (usage.output_tokens - self._usual_output)
        self.pace.answered(given, anyio.current_time(), calls=max(1, usage.calls), tokens=usage.total_tokens)
        self._serve()

    def refused(self, given: Pass, retry_after: float | None) -> None:
        """The provider asked for fewer calls."""
        self.pace.refused(given, anyio.current_time(), retry_after)
        self._serve()

    def ended(self, given: Pass) -> None:
        """The call failed otherwise, or was cancelled."""
        self.pace.ended(given, anyio.current_time())
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
        if waiter.given is None and waiter.turn.is_set():
            waiter.turn = anyio.Event()

    def _hand_over(self) -> None:
        self._keeper, self._alarm = self._line.first, None
        if self._keeper is not None:
            self._keeper.turn.set()

    def _serve(self) -> None:
        """Let in those at the head of the line, up to the first that has to wait on."""
        now = anyio.current_time()
        self._due = inf
        while (waiter := self._line.first) is not None:
            delay = self.pace.delay(waiter.tokens, now)
            if delay > 0:
                self._due = now + delay
                break
            self._line.serve(waiter.run, waiter)
            waiter.given = self.pace.enter(waiter.tokens, now)
            waiter.turn.set()
        if self._alarm is not None:
            self._alarm.deadline = self._due


_gates: RunVar[dict[str, tuple[_Allowed, Gate]]] = RunVar("contemplate_gates")


def _gate_of(account: str, allowed: _Allowed) -> Gate:
    gates = _gates.get(None)
    if gates is None:
        gates = {}
        _gates.set(gates)
    known, gate = gates.setdefault(account, (allowed, Gate(Pace(*allowed))))
    if known != allowed:
        raise ConfigurationError(
            f"Limit: account {account!r} has the limits {known} elsewhere, and {allowed} here",
            hint="give them another account, or the same limits",
        )
    return gate
