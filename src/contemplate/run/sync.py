"""Running async functions from synchronous code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import TypeVar

import anyio
import sniffio
from anyio.from_thread import start_blocking_portal

from ..models import current_run
from .current_run import current_scope
from .interrupts import ctrl_c_raises
from .nesting import blocking, blocking_in_loop_of

T = TypeVar("T")


def run_blocking(function: Callable[[], Awaitable[T]]) -> T:
    """Run an async function and return its result, in this thread or, if it already runs an event loop, in a new one.

    In a tool that runs in a worker thread, the function runs in the event loop of the tool's run, as a part of it.
    When this returns or raises, also on Ctrl-C, nothing of it is running.
    """

    async def main() -> T:
        return await function()

    scope = current_scope()
    if not _in_event_loop():
        return anyio.run(main) if scope is None or scope.blocked is not None else blocking_in_loop_of(scope, main)
    waiting = nullcontext() if scope is None else blocking(scope)
    with waiting, ctrl_c_raises(), start_blocking_portal(name="contemplate-sync") as portal:
        return portal.call(_at_this_place(main))


def _at_this_place(main: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    """Return `main` with this thread's place in a run, which a portal's thread does not inherit."""
    mark = current_run.get()

    async def run() -> T:
        current_run.set(mark)
        return await main()

    return run


def _in_event_loop() -> bool:
    with suppress(sniffio.AsyncLibraryNotFoundError):
        sniffio.current_async_library()
        return True
    # An asyncio callback does not run in a task, and sniffio sees only tasks.
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False
