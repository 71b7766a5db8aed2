"""A task of its own, in no task group: for a run whose events somebody iterates over.

A task group that is open across a `yield` belongs to the frame of whoever iterates. An async generator around it may be
left behind, and closed from another task: a task group cannot bear that, a task of its own can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context

import anyio
import sniffio

# The event loop itself holds tasks only weakly.
_tasks: set[asyncio.Task[None]] = set()


class OwnTask:
    """A function that runs in a task of its own, until it ends or is cancelled. It must catch its own errors."""

    def __init__(self, function: Callable[[], Awaitable[None]]) -> None:
        self._function = function
        # What ends the caller ends the function, too, and a run within a run must know how much time it has.
        self._scope = anyio.CancelScope(deadline=anyio.current_effective_deadline())
        self._over = anyio.Event()
        if sniffio.current_async_library() == "asyncio":
            task = asyncio.create_task(self._run())
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
        else:
            import trio

            trio.lowlevel.spawn_system_task(self._run, context=copy_context())

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._function()
        finally:
            self._over.set()

    async def end(self) -> None:
        """Cancel the function, and wait until nothing of it is running."""
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._over.wait()
