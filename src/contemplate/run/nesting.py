"""Runs within runs: how much time one has, and how it gets into the outer run's event loop.

However a run is started within another (a contemplator as an agent, a task's samples, a tool in any thread), it works
the same way: `carry_out` looks up the place of its code in the outer run, and opens its own door within the outer
run's (`Calls.child`). This module moves it into the outer run's event loop.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from anyio.lowlevel import EventLoopToken

from ..limits import Limits
from ..models import current_run
from .calls import Calls
from .place import Blocked, Place

T = TypeVar("T")

SHARE_OF_OUTER = 0.1
MAX_SECONDS_OF_OUTER = 5.0


def limits_within(limits: Limits, place: Place) -> Limits:
    """Return `limits` for a run at `place`, ending before the outer run's deadline, so that its answer still counts."""
    left = _seconds_left() if place.blocked is None else place.blocked.seconds
    left -= min(left * SHARE_OF_OUTER, MAX_SECONDS_OF_OUTER)
    if left >= (limits.seconds or math.inf):
        return limits
    return limits.model_copy(update={"seconds": max(left, 0.001)})


def _seconds_left() -> float:
    return anyio.current_effective_deadline() - anyio.current_time()


async def in_loop_of(place: Place, function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` in the event loop of the run at `place`, in another thread, and return its result.

    It is cancelled when that run ends, or when this task is cancelled.
    """
    scope: list[anyio.CancelScope] = []

    async def started() -> T:
        with anyio.CancelScope() as own:
            scope.append(own)
            return await _in_group(place, function)
        raise anyio.get_cancelled_exc_class()

    try:
        return await anyio.to_thread.run_sync(
            partial(anyio.from_thread.run, started, token=place.loop), abandon_on_cancel=True
        )
    finally:
        for each in scope:
            call_soon(place.loop, each.cancel)


def blocking_in_loop_of(place: Place, function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` in the event loop of the run at `place`, and return its result; blocks this worker thread."""
    return anyio.from_thread.run(partial(_in_group, place, function), token=place.loop)


async def _in_group(place: Place, function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` in the run's task group: a worker thread may outlive the run, the function may not."""
    assert isinstance(place.run, Calls)  # noqa: S101
    returned: list[T] = []
    raised: list[BaseException] = []
    scope = anyio.CancelScope(deadline=anyio.current_effective_deadline())
    over = anyio.Event()

    async def run() -> None:
        try:
            with scope, place.entered():
                returned.append(await function())
        except Exception as error:
            raised.append(error)
        finally:
            over.set()

    place.run.resources.group.start_soon(run)
    try:
        await over.wait()
    finally:
        scope.cancel()
    if raised:
        raise raised[0]
    if not returned:
        # The outer run has ended in the meantime.
        raise anyio.get_cancelled_exc_class()
    return returned[0]


def back_here(function: Callable[[T], object]) -> Callable[[T], None]:
    """Return a function that other threads can call, and that calls `function` in this event loop."""
    loop = anyio.lowlevel.current_token()
    return lambda given: call_soon(loop, function, given)


def call_soon(token: EventLoopToken, function: Callable[..., object], *args: Any) -> None:
    """Schedule a call of `function` in an event loop, from any thread, without waiting for it."""
    loop: Any = token.native_token
    soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
    # The loop may be closed: then nobody is left to receive the call.
    with suppress(RuntimeError):
        soon(function, *args)


@contextmanager
def blocking(place: Place) -> Iterator[None]:
    """Mark that the run's event loop is blocked, waiting for what the block calls in another thread."""
    blocked = Blocked(_seconds_left())
    token = current_run.set(replace(place, blocked=blocked))
    try:
        yield
    finally:
        current_run.reset(token)
        for each in blocked.later:
            each()
