"""A prompt that several calls share is read once, and not once in each slot."""

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
    """A llama.cpp server whose slots share what their prompts have in common.

    Of calls that are under way at the same time and begin alike, one has its prompt read by itself, in a call that
    writes a single token; then all idle slots are given what was read, and the calls go on together. On a processor
    reading takes most of the time, and eight slots that read the same are no faster than one that reads it eight times.
    Who is alone is not held up for more than 20 ms.

    The tokens of the reading are the first call's: its usage says what was really read. What idle slots had held is
    replaced.

    Args:
        inner: the server's model.
        slots: the server's slots.
        context: how many tokens all slots have together.
    """

    def __init__(self, inner: Model, slots: Slots, context: int) -> None:
        super().__init__(inner)
        self._slots = slots
        self._context = context

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`, when what it shares with others has been read.

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
            read = await self._read_first(key, request, beginnings)
            response = await self.inner.request(request, on_delta)
        finally:
            self._slots.out[key] -= 1
            if not self._slots.out[key]:
                del self._slots.out[key]
        return response if read is None else _with_reading(response, read)

    async def _read_first(self, key: bytes, request: ModelRequest, beginnings: Beginnings) -> Usage | None:
        """Wait until what is shared has been read; what it cost, if it was done here."""
        if not await beginnings.leads(key):
            return None
        warmed = False
        try:
            # Calls that are made together do not come in the same instant.
            await anyio.sleep(TOGETHER_SECONDS)
            if self._slots.out[key] == 1:
                self._take_slot(beginnings)
                return None
            read = await self._read(request)
            warmed = True
        except (ModelError, OSError) as error:
            # The calls themselves will tell whether anything is wrong.
            logging.getLogger("contemplate").debug("a shared prompt was not read beforehand: %s", error)
            read, warmed = None, True
        finally:
            if warmed:
                beginnings.forget()
                beginnings.warmed(key)
            else:
                beginnings.given_up(key)
        return read

    async def _read(self, request: ModelRequest) -> Usage | None:
        self._slots.copies = 0
        idle = await anyio.to_thread.run_sync(self._slots.idle, abandon_on_cancel=True)
        if len(idle) < 2:
            return None
        first, *others = idle
        extra = (request.settings.extra or {}) | {"id_slot": first}
        settings = ModelSettings(max_tokens=1, extra=extra).over(request.settings)
        usage = (await self.inner.request(replace(request, settings=settings))).usage
        # Copies that nobody uses are given up by the server when it needs their room.
        room = self._context // max(1, usage.input_tokens) - 1
        targets = others[: max(0, room)]
        self._slots.copies = 1 + await anyio.to_thread.run_sync(
            self._slots.copy, first, targets, abandon_on_cancel=True
        )
        return usage

    def _take_slot(self, beginnings: Beginnings) -> None:
        """A call with another prompt takes a slot: when too few copies may be left, they are made anew."""
        self._slots.copies -= 1
        if self._slots.copies < FEWEST_COPIES:
            beginnings.forget()


def _with_reading(response: ModelResponse, read: Usage) -> ModelResponse:
    cached = min(response.usage.cached_input_tokens, read.cached_input_tokens)
    usage = response.usage.model_copy(update={"cached_input_tokens": cached})
    return response.model_copy(update={"usage": usage})
