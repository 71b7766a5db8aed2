"""Toolsets that stay open between runs, in each event loop by itself: those of a contemplator that is open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from ..models import current_run
from ..models.per_loop import PerLoop
from ..tools.toolset import Running, Toolset
from .detached_task import OwnTask


class _Kept:
    """A toolset that is kept, opened on first use, and again when it has died.

    Attributes:
        holders: how many keep it.
    """

    def __init__(self, toolset: Toolset) -> None:
        self.holders = 0
        self._toolset = toolset
        self._running: Running | None = None
        self._tasks: list[OwnTask] = []

    def running(self) -> Running:
        """Return the toolset as it runs for whoever asks now."""
        if self._running is None or not self._running.usable:
            self.close()
            self._running = Running(self._toolset, self._start)
        return self._running

    def _start(self, function: Callable[[], Awaitable[None]]) -> None:
        async def apart() -> None:
            # It outlives the run that uses it first.
            current_run.set(None)
            await function()

        self._tasks = [each for each in self._tasks if not each.over]
        self._tasks.append(OwnTask(apart, lasting=True))

    def close(self) -> None:
        """Let it close."""
        for each in self._tasks:
            each.cancel()

    async def end(self) -> None:
        """Close it, and wait until it is closed."""
        self.close()
        for each in self._tasks:
            await each.end()


_kept: PerLoop[dict[int, _Kept]] = PerLoop("kept_toolsets", dict)


def kept(toolset: Toolset) -> Callable[[], Running] | None:
    """Return what gives `toolset` as it runs in this event loop, for longer than a run; None if it is not kept."""
    found = _kept.here().get(id(toolset))
    return None if found is None else found.running


@asynccontextmanager
async def keeping(toolsets: Iterable[Toolset]) -> AsyncIterator[None]:
    """Keep `toolsets` open for all runs in this event loop, from their first use to the end of the block."""
    here = _kept.here()
    # Also held here, so that no other gets its identity.
    held = {id(each): each for each in toolsets}
    for key, toolset in held.items():
        here.setdefault(key, _Kept(toolset)).holders += 1
    try:
        yield
    finally:
        ended = []
        for key in held:
            here[key].holders -= 1
            if not here[key].holders:
                ended.append(here.pop(key))
        for each in ended:
            each.close()
        for each in ended:
            await each.end()
