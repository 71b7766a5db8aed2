"""Whether anything of a run moves: who waits for the rest of a limit is served when nobody else would take it."""

from __future__ import annotations

from collections.abc import Callable

import anyio


class Stillness:
    """What moves in a run and in those within it: calls, and agents between their calls.

    A run is still when nothing moves and its planner hands out nothing for now. An agent that waits for anything but
    a call does not move, whatever it waits for, as that may be a task that waits here. So whoever waits for stillness
    waits for calls and for the planner only, and these end.

    Args:
        matters: whether a limit is divided in the run, or around it; if not, nobody counts.
        outer: that of the run around this one.

    Attributes:
        planning: returns whether the planner may hand out more tasks before it waits.
    """

    def __init__(self, *, matters: bool = False, outer: Stillness | None = None) -> None:
        self.matters = matters
        self.planning: Callable[[], bool] = lambda: False
        self._outer = outer if outer is not None and outer.matters else None
        self._moving = 0
        self._waiting: list[anyio.Event] = []

    def goes_on(self) -> None:
        """Record that something moves."""
        each: Stillness | None = self if self.matters else None
        while each is not None:
            each._moving += 1
            each = each._outer

    def waits(self) -> None:
        """Record that something does not move any more."""
        each: Stillness | None = self if self.matters else None
        while each is not None:
            each._moving -= 1
            each.check()
            each = each._outer

    def check(self) -> None:
        """Let those go on who wait for stillness, if the run is still."""
        if self._waiting and not self._moving and not self.planning():
            released, self._waiting = self._waiting, []
            for event in released:
                event.set()

    async def reached(self) -> None:
        """Wait, as something that moved, until the run and those around it are still."""
        self.waits()
        try:
            each: Stillness | None = self
            while each is not None:
                await each._still()
                each = each._outer
        finally:
            self.goes_on()

    async def _still(self) -> None:
        event = anyio.Event()
        self._waiting.append(event)
        try:
            self.check()
            await event.wait()
        finally:
            if event in self._waiting:
                self._waiting.remove(event)
