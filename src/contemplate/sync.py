"""Async functions for code that is not async."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import TypeVar

import anyio
import sniffio

T = TypeVar("T")


def run_blocking(function: Callable[[], Awaitable[T]]) -> T:
    """Run an async function to its end, in this thread or, where a loop already runs in it, in one of its own."""

    async def main() -> T:
        return await function()

    try:
        sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return anyio.run(main)
    return _in_thread(main)


def _in_thread(main: Callable[[], Awaitable[T]]) -> T:
    result: list[T] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            result.append(context.run(anyio.run, main))
        except BaseException as error:
            failure.append(error)

    context = copy_context()
    thread = threading.Thread(target=target, name="contemplate-sync", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]
