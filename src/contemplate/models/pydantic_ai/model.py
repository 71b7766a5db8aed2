"""`PydanticAIModel`: any model that pydantic-ai can call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio

from ...errors import MissingDependencyError, ModelContextError, ModelTimeoutError
from ...redaction import shown_url
from ...settings import ModelSettings
from ...usage import Price
from ..base import Delta, DeltaSink, ModelRequest, ModelResponse, RunMark, outermost_run
from ..context_size import ContextSize
from ..openai.stream_timeouts import StreamTimeouts
from ..per_loop import PerLoop
from ..prices import listed_price
from .known_context import KnownContext

if TYPE_CHECKING:
    from pydantic_ai.models import Model as ForeignModel

DEFAULT_TIMEOUT = 600.0
CLOSE_SECONDS = 1.0


@dataclass(slots=True)
class _Shared:
    model: ForeignModel
    users: int = 0


# Connections belong to one event loop, and so does a model of pydantic-ai's that keeps them.
_open: PerLoop[dict[PydanticAIModel, _Shared]] = PerLoop("pydantic_ai_models", dict)


class PydanticAIModel:
    """A model that pydantic-ai calls, of any provider that it knows.

    What a provider adds to an answer and must get back, such as signed thoughts, goes back to it with the results of
    tools. Retries are `Retry`'s: those of the provider's own client are turned off where it allows that.

    Args:
        model: pydantic-ai's name for it, such as "anthropic:claude-opus-5-5", or a `pydantic_ai.models.Model`, which
            is used as it is, with the HTTP client and the key that it was made with.
        settings: the default settings of its calls; those of a request take precedence.
        provider_settings: settings that only its provider has, by pydantic-ai's names for them, such as
            `{"anthropic_thinking": {"type": "adaptive"}}`.
        cache: whether tools, instructions and the conversation are marked for the provider's prompt cache, where it
            wants marks. Anthropic asks 1.25 times the price for what it writes there, and a tenth for what it reads.
        name: its name in events and errors; "PROVIDER:MODEL" if None.
        price: the price of its tokens. If None, it is looked up.

    Raises:
        ConfigurationError: pydantic-ai knows no such model, or its key is missing.
        MissingDependencyError: the extra "providers" is not installed.
    """

    def __init__(
        self,
        model: str | ForeignModel,
        *,
        settings: ModelSettings | None = None,
        provider_settings: Mapping[str, Any] | None = None,
        cache: bool = True,
        name: str | None = None,
        price: Price | None = None,
    ) -> None:
        if find_spec("pydantic_ai") is None:
            raise MissingDependencyError(f"{name or model}", "providers")
        self._model = model
        # Made at once, as a missing key is best told before a run. Each event loop needs one of its own.
        self._unused: list[ForeignModel] = []
        made = self._made()
        self._unused.append(made)
        self.name = name or (model if isinstance(model, str) else made.model_id)
        self.settings = settings
        place = place_of(made)
        self._context = KnownContext(shown_url(place or made.system), made.model_name)
        self._provider_settings = dict(provider_settings or {})
        self._cache = cache
        self._price = price
        self._told: WeakKeyDictionary[RunMark, set[str]] = WeakKeyDictionary()
        self._listed_as = made.model_name, place

    @property
    def context_size(self) -> ContextSize | None:
        """How much fits into its context, as learnt from a refusal; None if unknown."""
        return self._context.size

    @cached_property
    def price(self) -> Price | None:
        """The price of its tokens; None if unknown."""
        return self._price or listed_price(*self._listed_as)

    def __repr__(self) -> str:
        return f"PydanticAIModel({self.name!r})"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Keep the connections open until the context ends."""
        async with self._connected():
            yield

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, streaming it if `on_delta` is given.

        Raises:
            ModelError: the call failed; its subclass says how.
            ConfigurationError: the provider's client does not run on this event loop.
        """
        from .errors import error_of
        from .exchange import ForeignCall

        if self.settings is not None:
            request = replace(request, settings=request.settings.over(self.settings))
        seconds = request.settings.timeout or DEFAULT_TIMEOUT
        sink = None if on_delta is None else _Sink(on_delta)
        async with self._connected() as model:
            exchange = ForeignCall(model, request, self._provider_settings, seconds=seconds, cache=self._cache)
            await request.before_sending()
            try:
                with anyio.move_on_after(seconds) as scope:
                    if sink is None:
                        foreign = await exchange.whole()
                    else:
                        with StreamTimeouts(request.settings, self.name) as timeouts:
                            foreign = await exchange.streamed(sink, timeouts)
                    response = exchange.response(foreign, priced=self._price is None)
                    await self._context.compare(response)
                    return response.model_copy(update={"notes": self._new(exchange.notes())})
            except Exception as error:
                if sink is not None and sink.raised is error:
                    raise
                failure = error_of(error, self.name, model)
                if isinstance(failure, ModelContextError):
                    await self._context.learn(failure, request)
        if scope.cancelled_caught:
            raise ModelTimeoutError(
                f"no complete answer within {seconds:g} s", model=self.name, hint="raise ModelSettings.timeout"
            )
        # Outside of the handler, as the provider's error may repeat a secret.
        raise failure

    def _new(self, notes: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of `notes` that the run was not told before."""
        run = outermost_run()
        if run is None or not notes:
            return notes
        told = self._told.setdefault(run, set())
        new = tuple(note for note in notes if note not in told)
        told.update(new)
        return new

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[ForeignModel]:
        """Yield the model for this event loop; the last user to leave closes its connections."""
        models = _open.here()
        shared = models.get(self)
        if shared is None:
            shared = models[self] = _Shared(self._made())
        shared.users += 1
        entered = False
        try:
            # It counts its users itself.
            await shared.model.__aenter__()
            entered = True
            yield shared.model
        finally:
            shared.users -= 1
            if shared.users == 0:
                del models[self]
            if entered:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    await shared.model.__aexit__(None, None, None)

    def _made(self) -> ForeignModel:
        """Return the model of pydantic-ai's; by name, a new one, as connections belong to one event loop."""
        if self._unused:
            return self._unused.pop()
        if not isinstance(self._model, str):
            return self._model
        from pydantic_ai.models import infer_model

        from .errors import setup_error

        try:
            return infer_model(self._model)
        except Exception as error:
            failure = setup_error(error, self._model)
        raise failure


def place_of(model: ForeignModel) -> str:
    """Return the URL of a model's endpoint; "" where pydantic-ai knows none, as for Hugging Face's router."""
    from pydantic_ai.exceptions import UserError

    try:
        return model.base_url or ""
    except UserError:
        return ""


class _Sink:
    """A delta sink that remembers what the receiver raised, which is no error of the provider's."""

    def __init__(self, on_delta: DeltaSink) -> None:
        self._on_delta = on_delta
        self.raised: Exception | None = None

    def __call__(self, delta: Delta) -> None:
        try:
            self._on_delta(delta)
        except Exception as error:
            self.raised = error
            raise
