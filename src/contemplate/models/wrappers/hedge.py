"""Make a second call if the first token of a call is unusually late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import anyio

from ...arguments import checked_arguments
from ...errors import ConfigurationError, ModelRateLimitError
from ..accounting import broken_off
from ..base import Delta, DeltaSink, Model, ModelRequest, ModelResponse
from ..tokens import text_bytes
from .base import Allowance, Wrapper

QUANTILE = 0.95
OBSERVATIONS_NEEDED = 50
OBSERVATIONS_KEPT = 500
MOST_SAVED = 10
COOL_SECONDS = 60.0


class Hedge(Wrapper):
    """A model that makes a second call when the first token is late; the call with the earlier first token answers.

    Late means later than 95% of the recent first tokens (Dean and Barroso, "The Tail at Scale", 2013), once there are
    50 to compare with. The race is to the first token, not to the whole answer: the duration of an answer depends
    mostly on its length, so a race to the end would favour short ones. The losing call is cancelled, and its estimated
    cost is part of the response's usage.

    Nothing is hedged for a minute after the provider refused a call for its rate limit, nor if `request.tools` is not
    empty: a tool call is not streamed piece by piece, so its first token cannot be observed. To observe first tokens,
    calls are always streamed to this object, even if its caller does not stream; a model that does not stream is never
    hedged.

    Put it inside `Limit`, which counts the extra calls.

    Args:
        inner: the model.
        share: the largest share of extra calls among all calls.

    Raises:
        ConfigurationError: `share` is not between 0 and 1.
    """

    @checked_arguments
    def __init__(self, inner: Model, *, share: float = 0.05) -> None:
        if not 0 <= share <= 1:
            raise ConfigurationError(f"Hedge(share={share}): the share must be between 0 and 1")
        super().__init__(inner)
        self._allowance = Allowance(share, start=1 if share else 0, most=MOST_SAVED)
        self._first_tokens: deque[float] = deque(maxlen=OBSERVATIONS_KEPT)
        self._refused_at: float | None = None

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request` with one call or two.

        Raises:
            ModelError: the call with the first token failed, or both did.
        """
        if request.tools:
            return await self.inner.request(request, on_delta)
        self._allowance.earn()
        race = _Race(self.inner, request, on_delta)
        try:
            return await race.run(self._late(), self._may_hedge)
        finally:
            self._observe(race)

    def _late(self) -> float | None:
        """Return the seconds after which a first token is late; None until that is known."""
        if len(self._first_tokens) < OBSERVATIONS_NEEDED:
            return None
        return sorted(self._first_tokens)[int(QUANTILE * len(self._first_tokens))]

    def _may_hedge(self) -> bool:
        # Each event loop has its own clock: a time from another one means nothing.
        refused = self._refused_at is not None and 0 <= anyio.current_time() - self._refused_at < COOL_SECONDS
        return not refused and self._allowance.spend()

    def _observe(self, race: _Race) -> None:
        if any(isinstance(call.error, ModelRateLimitError) for call in race.calls):
            self._refused_at = anyio.current_time()
        # A first call that lost was later still; omitting it would make the threshold ever shorter.
        first_token = race.calls[0].first_token
        if first_token is None and race.second_won:
            first_token = race.calls[1].first_token
        if first_token is not None:
            self._first_tokens.append(first_token - race.started)


@dataclass(slots=True, eq=False)
class _Call:
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    sent: bool = False
    first_token: float | None = None
    written: int = 0
    response: ModelResponse | None = None
    error: Exception | None = None


class _Race:
    """One request, with the one or two calls made for it."""

    def __init__(self, inner: Model, request: ModelRequest, on_delta: DeltaSink | None) -> None:
        self.calls = [_Call()]
        self.started = anyio.current_time()
        self._inner = inner
        self._request = request
        self._on_delta = on_delta
        self._winner: _Call | None = None
        self._decided = anyio.Event()

    @property
    def second_won(self) -> bool:
        """Whether the second call had the earlier first token."""
        return self._winner is not None and self._winner is not self.calls[0]

    async def run(self, late: float | None, may_hedge: Callable[[], bool]) -> ModelResponse:
        """Make the call, and a second one if there is no token for `late` seconds and `may_hedge` agrees."""
        if late is None:
            await self._make(self.calls[0])
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(self._make, self.calls[0])
                with anyio.move_on_after(late):
                    await self._decided.wait()
                if not self._decided.is_set() and may_hedge():
                    self.calls.append(_Call())
                    self._request.on_again("hedged", f"no token came for {late:.2f} s")
                    group.start_soon(self._make, self.calls[1])
        answered = self._winner or self.calls[0]
        if answered.response is None:
            assert answered.error is not None  # noqa: S101
            raise answered.error
        usage = answered.response.usage
        lost = [broken_off(call.written, usage) for call in self.calls if call is not answered and call.sent]
        return answered.response.model_copy(update={"usage": sum(lost, usage)}) if lost else answered.response

    async def _make(self, call: _Call) -> None:
        with call.scope:
            try:
                await self._request.before_sending()
                call.sent = True
                call.response = await self._inner.request(self._request, partial(self._on_delta_of, call))
                self._decide(call)
            except Exception as error:
                call.error = error
                if all(each.error is not None for each in self.calls):
                    self._decided.set()

    def _on_delta_of(self, call: _Call, delta: Delta) -> None:
        if call.first_token is None and (delta.text or delta.reasoning):
            call.first_token = anyio.current_time()
            self._decide(call)
        call.written += text_bytes(delta.text) + text_bytes(delta.reasoning)
        if call is self._winner and self._on_delta is not None:
            self._on_delta(delta)

    def _decide(self, call: _Call) -> None:
        if self._winner is None:
            self._winner = call
            self._decided.set()
            for other in self.calls:
                if other is not call:
                    other.scope.cancel()
