"""One call: a request told to pydantic-ai, and its response, whole or streamed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import ModelResponse as ForeignResponse
from pydantic_ai.messages import PartDeltaEvent, PartStartEvent
from pydantic_ai.models import Model as ForeignModel
from pydantic_ai.models import StreamedResponse

from ..base import DeltaSink, ModelRequest, ModelResponse
from ..openai.stream_timeouts import StreamTimeouts
from .deltas import Deltas
from .opaque import mark_of
from .request import call_settings, history, parameters, unsent
from .response import IncompleteResponse, read

# How long a stream that is given up may go on until it waits for its connection.
CLOSE_SECONDS = 0.05


class ForeignCall:
    """A request to a model of pydantic-ai's, and what comes of it.

    Args:
        model: the model.
        request: the request.
        provider_settings: settings by pydantic-ai's names for them, which take precedence.
        seconds: the most seconds that the provider's client waits.
        cache: whether to mark what can be cached.
    """

    def __init__(
        self,
        model: ForeignModel,
        request: ModelRequest,
        provider_settings: Mapping[str, Any],
        *,
        seconds: float,
        cache: bool,
    ) -> None:
        self._model = model
        self._request = request
        self._parameters = parameters(request, model)
        self._settings = call_settings(request, model, provider_settings, seconds=seconds, cache=cache)
        self._messages = history(request.messages, mark_of(model))

    async def whole(self) -> ForeignResponse:
        """Return the response in one piece."""
        return await model_request(
            self._model, self._messages, model_settings=self._settings, model_request_parameters=self._parameters
        )

    async def streamed(self, on_delta: DeltaSink, timeouts: StreamTimeouts) -> ForeignResponse:
        """Return the response, and pass its pieces to `on_delta` as they arrive.

        Raises:
            IncompleteResponse: the stream ended before the response was complete.
        """
        pieces, deltas = 0, Deltas(self._request.output_schema)
        async with model_request_stream(
            self._model, self._messages, model_settings=self._settings, model_request_parameters=self._parameters
        ) as stream:
            try:
                async for event in stream:
                    pieces += isinstance(event, PartStartEvent | PartDeltaEvent)
                    timeouts.heard(pieces)
                    delta = deltas.of(event)
                    if delta.text or delta.reasoning:
                        on_delta(delta)
                    # Between the pieces, the stream can still be ended properly; a lock within it must not be where
                    # it is cancelled.
                    await anyio.lowlevel.checkpoint_if_cancelled()
            except BaseException:
                await _close(stream)
                raise
            response = stream.get()
        # Models that call no provider, such as those for tests, give no reason.
        told = response.finish_reason or (response.provider_details or {}).get("finish_reason")
        if response.state != "complete" or not (told or self._model.provider is None):
            raise IncompleteResponse
        return response

    def response(self, foreign: ForeignResponse, *, priced: bool) -> ModelResponse:
        """Return `foreign` as ours, with its cost if it is to be `priced`.

        Raises:
            Broken: the model ended with an error.
        """
        return read(foreign, self._request, mark_of(self._model), priced=priced)

    def notes(self) -> tuple[str, ...]:
        """Return notes on what was not sent."""
        return unsent(self._request, self._model)


async def _close(stream: StreamedResponse) -> None:
    """End a stream where it reads from the connection, which is closed by that.

    The generators of a provider's client do not close each other; being cancelled in the innermost one ends them all.
    """
    with anyio.move_on_after(CLOSE_SECONDS, shield=True), suppress(Exception):
        async for _ in stream:
            pass
