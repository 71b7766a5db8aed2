"""A task of its own, in no task group: for a run whose events somebody iterates over, and for what outlives a run.

A task group that is open across a `yield` belongs to the frame of whoever iterates. An async generator around it may be
left behind, and closed from another task: a task group cannot bear that, a task of its own can.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextvars import copy_context

import anyio
import sniffio

# The event loop itself holds tasks only weakly.
_tasks: set[asyncio.Task[None]] = set()


class OwnTask:
    """A function that runs in a task of its own, until it ends or is cancelled. It must catch its own errors.

    Args:
        function: the function.
        lasting: whether it may go on when the caller's time is over.
    """

    def __init__(self, function: Callable[[], Awaitable[None]], *, lasting: bool = False) -> None:
        self._function = function
        # What ends the caller ends the function, too, and a run within a run must know how much time it has.
        self._scope = anyio.CancelScope(deadline=math.inf if lasting else anyio.current_effective_deadline())
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

    @property
    def over(self) -> bool:
        """Whether nothing of the function is running."""
        return self._over.is_set()

    def cancel(self) -> None:
        """Cancel the function."""
        self._scope.cancel()

    async def end(self) -> None:
        """Cancel the function, and wait until nothing of it is running."""
        self.cancel()
        with anyio.CancelScope(shield=True):
            await self._over.wait()
