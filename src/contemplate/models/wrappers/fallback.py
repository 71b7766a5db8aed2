"""Another model where one fails."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import anyio

from ...errors import (
    ConfigurationError,
    ContemplateError,
    ModelConnectionError,
    ModelError,
    ModelRateLimitError,
    ModelServerError,
    ModelTimeoutError,
)
from ...usage import Price
from ..base import DeltaSink, Model, ModelRequest, ModelResponse, price_of
from ..registry import resolve
from .base import Restarting, Wrapper

MAY_PASS = (ModelConnectionError, ModelTimeoutError, ModelRateLimitError, ModelServerError)


class Fallback(Wrapper):
    """The first of several models that answers.

    A model that fails so many times on end is left out for a while; then one call at a time tries it again (a circuit
    breaker: Nygard, "Release It!", 2007). `ModelResponse.model` says who answered. A stream that breaks after its first
    piece starts over, with the next model, with `Delta(restart=True)`.

    Args:
        models: in the order in which they are asked; or their names.
        on: the errors after which the next one is asked. By default those that may pass: a refused key or a wrong
            request is for you to know of, and not to be covered up.
        failures: how many of these on end leave a model out.
        seconds: for how long.

    Raises:
        ConfigurationError: there is no model, or none of that name, or `failures` is less than one.
    """

    def __init__(
        self,
        models: Sequence[str | Model],
        *,
        on: tuple[type[ContemplateError], ...] = MAY_PASS,
        failures: int = 5,
        seconds: float = 30.0,
    ) -> None:
        if not models or failures < 1:
            raise ConfigurationError(f"Fallback({len(models)} models, failures={failures}): at least one is needed")
        found = [resolve(model) for model in ([models] if isinstance(models, str) else models)]
        super().__init__(found[0])
        self._models = [(model, Circuit(failures, seconds)) for model in found]
        self._on = on

    def __repr__(self) -> str:
        return f"Fallback({[model for model, _ in self._models]!r})"

    @property
    def name(self) -> str:
        """The models' names."""
        return "|".join(model.name for model, _ in self._models)

    @property
    def price(self) -> Price | None:
        """The dearest of the models' prices; None if one is not known."""
        prices = [price_of(model) for model, _ in self._models]
        known = [price for price in prices if price is not None]
        if len(known) < len(prices):
            return None
        return Price(input=max(each.input for each in known), output=max(each.output for each in known))

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, by the first model that can.

        Only the connections of the first model are kept between calls.

        Raises:
            ContemplateError: the last model's error, with those before it in its notes; or all were left out.
        """
        sink = None if on_delta is None else Restarting(on_delta)
        failed: list[ContemplateError] = []
        for model, circuit in self._models:
            if circuit.delay(anyio.current_time()) > 0:
                continue
            if sink is not None:
                sink.start_over()
            try:
                return await _asked(model, circuit, self._on, request, sink)
            except self._on as error:
                failed.append(error)
        if not failed:
            raise self._all_left_out()
        for earlier in failed[:-1]:
            failed[-1].add_note(f"before that: {earlier}")
        raise failed[-1]

    def _all_left_out(self) -> ModelConnectionError:
        wait = min(circuit.delay(anyio.current_time()) for _, circuit in self._models)
        return ModelConnectionError("each model has failed too often of late", model=self.name, retry_after=wait)


async def _asked(
    model: Model,
    circuit: Circuit,
    on: tuple[type[ContemplateError], ...],
    request: ModelRequest,
    sink: DeltaSink | None,
) -> ModelResponse:
    trial = circuit.enter(anyio.current_time())
    try:
        response = await model.request(request, sink)
    except on:
        circuit.failed(anyio.current_time())
        raise
    except ModelError:
        # It is there, and says no to this request.
        circuit.answered()
        raise
    except BaseException:
        if trial:
            circuit.trial_ended(anyio.current_time())
        raise
    circuit.answered()
    return response


class Circuit:
    """Whether a model may be asked: not after `failures` on end; after `seconds`, one call at a time."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._limit = failures
        self._seconds = seconds
        self._failures = 0
        self._open_until = -inf

    def delay(self, now: float) -> float:
        """Seconds until a call may be made."""
        left = self._open_until - now
        # Each event loop has a clock of its own: nothing was ever left out for much longer than that.
        return left if 0 < left < 2 * self._seconds else 0.0

    def enter(self, now: float) -> bool:
        """A call is made; whether it is a trial, while which no other is made, unless it takes as long as a pause."""
        trial = self._failures >= self._limit
        if trial:
            self._open_until = now + self._seconds
        return trial

    def failed(self, now: float) -> None:
        """It failed."""
        self._failures += 1
        if self._failures >= self._limit:
            self._open_until = now + self._seconds

    def answered(self) -> None:
        """It was answered."""
        self._failures, self._open_until = 0, -inf

    def trial_ended(self, now: float) -> None:
        """A trial was cancelled, and tells nothing: another may be made."""
        if self._failures >= self._limit:
            self._open_until = now
