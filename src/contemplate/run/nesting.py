"""Runs within runs: the time that one has, and the event loop in which it goes on.

However a run comes to be made within another (a contemplator as an agent, a task's samples, a tool, of whatever
thread), it is the same: `carry_out` finds the place in the outer run at which its code is, and opens a door of its own
within the outer run's (`Calls.child`). What is here sees to it that it does so in the outer run's event loop.
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
    """Return `limits` for a run at `place`: over before the outer run's time is, so that its answer still counts."""
    left = _seconds_left() if place.blocked is None else place.blocked.seconds
    left -= min(left * SHARE_OF_OUTER, MAX_SECONDS_OF_OUTER)
    if left >= (limits.seconds or math.inf):
        return limits
    return limits.model_copy(update={"seconds": max(left, 0.001)})


def _seconds_left() -> float:
    return anyio.current_effective_deadline() - anyio.current_time()


async def in_loop_of(place: Place, function: Callable[[], Awaitable[T]]) -> T:
    """Return what `function` returns in the event loop of the run at `place`, which is another thread's.

    It ends with that run at the latest, and if this task is cancelled.
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
    """Return what `function` returns in the event loop of the run at `place`; blocks this thread, a worker's."""
    return anyio.from_thread.run(partial(_in_group, place, function), token=place.loop)


async def _in_group(place: Place, function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` in the run's own task group: a worker thread may be left behind, and nothing of the run is."""
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
        # The outer run has ended meanwhile.
        raise anyio.get_cancelled_exc_class()
    return returned[0]


def back_here(function: Callable[[T], object]) -> Callable[[T], None]:
    """Return a function for other threads, which has `function` called in this event loop."""
    loop = anyio.lowlevel.current_token()
    return lambda given: call_soon(loop, function, given)


def call_soon(token: EventLoopToken, function: Callable[..., object], *args: Any) -> None:
    """Have `function` called in an event loop; does not wait, and may be used in any thread."""
    loop: Any = token.native_token
    soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
    # A loop that is closed has nobody left who could be told.
    with suppress(RuntimeError):
        soon(function, *args)


@contextmanager
def blocking(place: Place) -> Iterator[None]:
    """Let what is called in the block, in another thread, know that the event loop of the run waits for it."""
    blocked = Blocked(_seconds_left())
    token = current_run.set(replace(place, blocked=blocked))
    try:
        yield
    finally:
        current_run.reset(token)
        for each in blocked.later:
            each()
