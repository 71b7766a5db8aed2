"""Async functions for code that is not async."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio
import sniffio
from anyio.from_thread import start_blocking_portal

T = TypeVar("T")


def run_blocking(function: Callable[[], Awaitable[T]]) -> T:
    """Run an async function to its end, in this thread or, where a loop already runs in it, in one of its own.

    When this returns or raises, also on Ctrl-C, nothing of it is running.
    """

    async def main() -> T:
        return await function()

    if not _a_loop_runs_here():
        return anyio.run(main)
    with start_blocking_portal(name="contemplate-sync") as portal:
        return portal.call(main)


def _a_loop_runs_here() -> bool:
    with suppress(sniffio.AsyncLibraryNotFoundError):
        sniffio.current_async_library()
        return True
    # A callback of asyncio's is no task, and sniffio sees only tasks.
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False
