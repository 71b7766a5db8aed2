"""Process a prompt prefix that several calls share once, instead of once in each slot."""

from __future__ import annotations

import logging
from dataclasses import replace

import anyio
import anyio.to_thread

from ...errors import ModelError
from ...settings import ModelSettings
from ...usage import Usage
from ..base import DeltaSink, Model, ModelRequest, ModelResponse
from ..wrappers.base import Wrapper
from ..wrappers.prefixes import Beginnings, beginning, beginnings_of
from .slots import Slots

LEAST_TOKENS = 256
TOGETHER_SECONDS = 0.02
FEWEST_COPIES = 4


class Spread(Wrapper):
    """A llama.cpp server whose slots share the common prefix of their prompts.

    If concurrent calls share a prompt prefix, the first one's prompt is processed by itself, in a call that writes a
    single token; its cache is then copied to all idle slots, and the calls go on together. On a CPU, prompt processing
    takes most of the time, and eight slots that process the same prompt are no faster than one that does so eight
    times. A call without others is delayed by at most 20 ms.

    The prefill counts towards the first call: its usage reports the tokens that were really processed. The caches of
    idle slots are replaced.

    Args:
        inner: the server's model.
        slots: the server's slots.
        context: the size in tokens of the context that all slots share.
    """

    def __init__(self, inner: Model, slots: Slots, context: int) -> None:
        super().__init__(inner)
        self._slots = slots
        self._context = context

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, once the prefix that it shares with others has been processed.

        Raises:
            ModelError: the call failed.
        """
        beginnings = beginnings_of(self._slots)
        key = beginning(request, LEAST_TOKENS)
        if key is None:
            self._take_slot(beginnings)
            return await self.inner.request(request, on_delta)
        self._slots.out[key] += 1
        try:
            prefill = await self._prefill_first(key, request, beginnings)
            response = await self.inner.request(request, on_delta)
        finally:
            self._slots.out[key] -= 1
            if not self._slots.out[key]:
                del self._slots.out[key]
        return response if prefill is None else _with_prefill(response, prefill)

    async def _prefill_first(self, key: bytes, request: ModelRequest, beginnings: Beginnings) -> Usage | None:
        """Wait until the shared prefix has been processed; return the usage if this call did it."""
        if not await beginnings.leads(key):
            return None
        warmed = False
        try:
            # Concurrent calls do not arrive in the same instant.
            await anyio.sleep(TOGETHER_SECONDS)
            if self._slots.out[key] == 1:
                self._take_slot(beginnings)
                return None
            prefill = await self._prefill(request)
            warmed = True
        except (ModelError, OSError) as error:
            # If something is wrong, the calls themselves report it.
            logging.getLogger("contemplate").debug("a shared prompt was not processed beforehand: %s", error)
            prefill, warmed = None, True
        finally:
            if warmed:
                beginnings.forget()
                beginnings.warmed(key)
            else:
                beginnings.given_up(key)
        return prefill

    async def _prefill(self, request: ModelRequest) -> Usage | None:
        self._slots.copies = 0
        idle = await anyio.to_thread.run_sync(self._slots.idle, abandon_on_cancel=True)
        if len(idle) < 2:
            return None
        first, *others = idle
        extra = (request.settings.extra or {}) | {"id_slot": first}
        settings = ModelSettings(max_tokens=1, extra=extra).over(request.settings)
        usage = (await self.inner.request(replace(request, settings=settings))).usage
        # The server drops unused copies when it needs their space.
        copies = self._context // max(1, usage.input_tokens) - 1
        targets = others[: max(0, copies)]
        self._slots.copies = 1 + await anyio.to_thread.run_sync(
            self._slots.copy, first, targets, abandon_on_cancel=True
        )
        return usage

    def _take_slot(self, beginnings: Beginnings) -> None:
        """Note that a call with another prompt takes a slot; if too few copies may be left, have them made again."""
        self._slots.copies -= 1
        if self._slots.copies < FEWEST_COPIES:
            beginnings.forget()


def _with_prefill(response: ModelResponse, prefill: Usage) -> ModelResponse:
    cached = min(response.usage.cached_input_tokens, prefill.cached_input_tokens)
    usage = response.usage.model_copy(update={"cached_input_tokens": cached})
    return response.model_copy(update={"usage": usage})
