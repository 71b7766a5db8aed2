"""Answers that end where a string begins at which the client has them stop.

Models are told, too; but not every server heeds it, and not every answer is what one model wrote at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..result import RunResult
from .api_errors import Failure
from .deltas import FinishReason, ReplyDelta
from .neutral_request import ReplyWriter


class StopStrings:
    """Cuts a text that comes in pieces where one of `stops` begins; what may be its beginning is held back.

    Of several it is the one that is complete first, as a server that writes token by token would find it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(filter(None, stops))
        self._held = ""
        self._over = False

    def new(self, text: str) -> str:
        """Return what is sure to belong to the text after the next piece."""
        if self._over:
            return ""
        text = self._held + text
        found = [(place + len(each), place) for each in self._stops if (place := text.find(each)) >= 0]
        self._over = bool(found)
        sure = min(found)[1] if found else len(text) - self._begun(text)
        self._held = text[sure:]
        return text[:sure]

    def rest(self) -> str:
        """Return what was held back at the end of the text."""
        return "" if self._over else self._held

    def _begun(self, text: str) -> int:
        """Return the length of the longest end of `text` that is the beginning of a stop string."""
        longest = min(len(text), max(map(len, self._stops), default=1) - 1)
        lengths = range(longest, 0, -1)
        return next((size for size in lengths if any(each.startswith(text[-size:]) for each in self._stops)), 0)


class StoppedReply:
    """A reply whose answer ends at a stop string."""

    def __init__(self, reply: ReplyWriter, stops: Sequence[str]) -> None:
        self._reply = reply
        self._stops = stops
        self._answer = StopStrings(stops)

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._reply.run_id

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        self._reply.run_id = run_id

    async def say(self, delta: ReplyDelta) -> None:
        """Tell what is new, and sure."""
        if delta.restart:
            self._answer = StopStrings(self._stops)
        content = self._answer.new(delta.content)
        if content or delta.reasoning or delta.restart:
            await self._reply.say(replace(delta, content=content))

    async def end(self, result: RunResult[Any], text: str, finish_reason: FinishReason) -> None:
        """Tell the rest, and that the run is over."""
        rest = self._answer.rest()
        if rest:
            await self._reply.say(ReplyDelta(content=rest))
        whole = StopStrings(self._stops)
        await self._reply.end(result, whole.new(text) + whole.rest(), finish_reason)

    async def fail(self, error: Failure) -> None:
        """Tell that there is no answer."""
        await self._reply.fail(error)

    async def keep_alive(self) -> None:
        """Leave that to the reply."""
        await self._reply.keep_alive()
