"""Calls of functions that users wrote. Whatever these raise ends only the part of a run that called them."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import sniffio

from ..errors import ToolError
from ..models import current_run

T = TypeVar("T")

MAX_ITEMS = 10_000


async def call_function(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `function`, and return what it returns; what it yields, as a list.

    A plain function or generator runs in a worker thread, so that it does not block other subagents.

    Raises:
        Exception: what the function raises; `RuntimeError` in place of an exception that would end more than the call.
        ToolError: it yields more than 10,000 items.
    """
    with contained():
        if inspect.iscoroutinefunction(function):
            returned = await function(*args, **kwargs)
        else:
            # In a tuple, as trio rejects an awaitable result of a thread.
            (returned,) = await in_thread(lambda: (_collected(function(*args, **kwargs)),))
            if inspect.isawaitable(returned):
                returned = await returned
        return await _collected_async(returned) if isinstance(returned, AsyncIterator) else returned


async def in_thread(function: Callable[[], T]) -> T:
    """Run `function` in a worker thread, which is abandoned if the caller is cancelled.

    Raises:
        Exception: what the function raises; `RuntimeError` in place of an exception that would end more than the call.
    """

    def call() -> T:
        try:
            return function()
        except Exception:
            raise
        except BaseException as raised:
            # Here, as an event loop that receives it from a thread ends without ending its threads.
            raise _as_exception(raised) from raised

    # Whoever waits for a thread asks anew, when he has one, whether the run is still this process's.
    async with anyio.to_thread.current_default_thread_limiter():
        mark = current_run.get()
        if mark is not None and not mark.over:
            await mark.make_sure()
        return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))


class _Contained:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, raised: BaseException | None, traceback: object) -> None:
        if raised is None or isinstance(raised, Exception) or _is_interrupt(raised) or _is_cancellation(raised):
            return
        raise _as_exception(raised) from raised


_CONTAINED = _Contained()


def contained() -> AbstractContextManager[None, None]:
    """Turn an exception that would end more than the block, such as `SystemExit`, into a `RuntimeError`.

    The cancellation of the current task remains what it is, and so does `KeyboardInterrupt`: it is the user's.
    """
    return _CONTAINED


def _is_interrupt(raised: BaseException) -> bool:
    if isinstance(raised, BaseExceptionGroup):
        return any(map(_is_interrupt, raised.exceptions))
    return isinstance(raised, KeyboardInterrupt)


def _is_cancellation(raised: BaseException) -> bool:
    """Return whether `raised` ends the current task because it is being cancelled, or closed without an event loop."""
    try:
        kind = anyio.get_cancelled_exc_class()
    except sniffio.AsyncLibraryNotFoundError:
        return True
    # An exception of this kind may also come from something that the task waited for.
    return isinstance(raised, kind) and anyio.current_effective_deadline() == -math.inf


def _as_exception(raised: BaseException) -> Exception:
    if isinstance(raised, SystemExit):
        return RuntimeError(f"it tried to end the process: SystemExit({raised.code!r})")
    return RuntimeError(f"it raised {type(raised).__name__}: {raised}")


def _collected(returned: Any) -> Any:
    return _bounded(list(islice(returned, MAX_ITEMS + 1))) if isinstance(returned, Iterator) else returned


async def _collected_async(returned: AsyncIterator[Any]) -> list[Any]:
    items: list[Any] = []
    try:
        async for item in returned:
            items.append(item)
            _bounded(items)
    finally:
        if inspect.isasyncgen(returned):
            await returned.aclose()
    return items


def _bounded(items: list[Any]) -> list[Any]:
    if len(items) > MAX_ITEMS:
        raise ToolError(f"it yields more than {MAX_ITEMS:,} items")
    return items
