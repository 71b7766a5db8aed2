"""Fall back to another model if one fails."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import anyio

from ...arguments import checked_arguments
from ...errors import (
    ConfigurationError,
    ContemplateError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelRateLimitError,
    ModelServerError,
    ModelTimeoutError,
    RunTaken,
)
from ...usage import Price
from ..base import DeltaSink, Model, ModelRequest, ModelResponse, price_of
from ..context_size import ContextSize, check_fit, context_of
from ..registry import resolve
from .base import Restarting, Wrapper, sent

MAY_PASS = (ModelConnectionError, ModelTimeoutError, ModelRateLimitError, ModelServerError, ModelContextError)


class Fallback(Wrapper):
    """Several models, of which the first that succeeds answers.

    A model with too many failures in a row is skipped for a while; then one call at a time tries it again (a circuit
    breaker: Nygard, "Release It!", 2007). `ModelResponse.answered_by` says which one answered, and so do
    `TaskResult.model` and the event `ModelCalled`. A stream that breaks after its first piece starts over, with the
    next model, with `Delta(restart=True)`; what it cost is part of the response's usage.

    Args:
        models: the models or their names, in the order in which they are tried.
        on: the errors after which the next model is tried. By default transient ones, and a prompt that does not fit,
            as the next context may be larger: a refused key or an invalid request should be reported, not hidden.
        failures: how many of these in a row cause a model to be skipped.
        seconds: how long it is skipped.

    Raises:
        ConfigurationError: there is no model, a name is not known, or `failures` is less than one.
    """

    @checked_arguments
    def __init__(
        self,
        models: str | Sequence[str | Model],
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
        """The highest of the models' prices; None if one is not known."""
        prices = [price_of(model) for model, _ in self._models]
        known = [price for price in prices if price is not None]
        if len(known) < len(prices):
            return None
        return Price(input=max(each.input for each in known), output=max(each.output for each in known))

    @property
    def context_size(self) -> ContextSize | None:
        """The largest of the models' contexts; None if one is not known."""
        sizes = [context_of(model) for model, _ in self._models]
        known = [size for size in sizes if size is not None]
        return max(known, key=lambda size: size.tokens) if len(known) == len(sizes) else None

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request` with the first model that succeeds.

        Only the connections of the first model are kept between calls. A model is not asked what is known not to fit
        into its context.

        Raises:
            ModelContextError: the prompt fits into the context of none that could be asked; the largest one's error.
            ContemplateError: the last model's error, with the earlier ones in its notes; or all models were skipped.
        """
        sink = None if on_delta is None else Restarting(on_delta)
        failed: list[ContemplateError] = []
        price: Price | None = None
        for model, circuit in self._models:
            if circuit.delay(anyio.current_time()) > 0:
                continue
            if failed:
                request.on_again("replaced", str(failed[-1]))
            if sink is not None:
                sink.start_over(price)
            try:
                response = await _request(model, circuit, self._on, request, sink)
            except RunTaken:
                # That is no failure of the model, whatever `on` says.
                raise
            except self._on as error:
                failed.append(error)
                price = price_of(model)
                continue
            response = response if response.answered_by else response.model_copy(update={"answered_by": model.name})
            return response if sink is None else sink.with_lost(response)
        if not failed:
            raise self._all_skipped()
        told = _told(failed)
        for earlier in failed:
            if earlier is not told:
                told.add_note(f"{'before that' if told is failed[-1] else 'besides'}: {earlier}")
        raise told

    def _all_skipped(self) -> ModelConnectionError:
        wait = min(circuit.delay(anyio.current_time()) for _, circuit in self._models)
        return ModelConnectionError("every model has failed too often recently", model=self.name, retry_after=wait)


async def _request(
    model: Model,
    circuit: Circuit,
    on: tuple[type[ContemplateError], ...],
    request: ModelRequest,
    sink: DeltaSink | None,
) -> ModelResponse:
    if ModelContextError in on:
        check_fit(model, request)
    trial = circuit.enter(anyio.current_time())
    try:
        response = await sent(model, request, sink)
    except ModelContextError:
        circuit.answered()
        raise
    except RunTaken:
        if trial:
            circuit.trial_ended(anyio.current_time())
        raise
    except on:
        circuit.failed(anyio.current_time())
        raise
    except ModelError:
        # The model is up, and refused this request.
        circuit.answered()
        raise
    except BaseException:
        if trial:
            circuit.trial_ended(anyio.current_time())
        raise
    circuit.answered()
    return response


def _told(failed: Sequence[ContemplateError]) -> ContemplateError:
    """Return the error of a prompt that a shorter one may help, in the largest context; else the last one."""
    too_long = [error for error in failed if isinstance(error, ModelContextError)]
    return max(too_long, key=lambda error: error.context_tokens or 0) if too_long else failed[-1]


class Circuit:
    """A circuit breaker: open after `failures` in a row; after `seconds`, it admits one trial call at a time."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._limit = failures
        self._seconds = seconds
        self._failures = 0
        self._open_until = -inf

    def delay(self, now: float) -> float:
        """Return the seconds until a call may be made."""
        left = self._open_until - now
        # Each event loop has its own clock, so a longer delay comes from another loop's.
        return left if 0 < left < 2 * self._seconds else 0.0

    def enter(self, now: float) -> bool:
        """Note a call, and return whether it is a trial: no other is made meanwhile, for at most `seconds`."""
        trial = self._failures >= self._limit
        if trial:
            self._open_until = now + self._seconds
        return trial

    def failed(self, now: float) -> None:
        """Note that the call failed."""
        self._failures += 1
        if self._failures >= self._limit:
            self._open_until = now + self._seconds

    def answered(self) -> None:
        """Note that the call was answered, and close the circuit."""
        self._failures, self._open_until = 0, -inf

    def trial_ended(self, now: float) -> None:
        """Note that a trial was cancelled without a result, and allow another."""
        if self._failures >= self._limit:
            self._open_until = now
