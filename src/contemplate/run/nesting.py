"""Runs within runs: how much time one has, and how it gets into the outer run's event loop.

However a run is started within another (a contemplator as an agent, a task's samples, a tool in any thread), it works
the same way: `carry_out` looks up the place of its code in the outer run, and opens its own door within the outer
run's (`Calls.child`). This module moves it into the outer run's event loop.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from ..errors import ConfigurationError, ContemplateError
from ..event_loops import call_soon
from ..limits import Limits
from ..models import current_run
from .current_run import Blocked, RunScope

T = TypeVar("T")

MAX_DEPTH = 16
SHARE_OF_OUTER = 0.1
MAX_SECONDS_OF_OUTER = 5.0


def inner_depth(depth: int) -> int:
    """Return the depth of a run within one of this depth.

    Raises:
        ConfigurationError: that is too deep.
    """
    if depth >= MAX_DEPTH:
        raise ConfigurationError(
            f"runs are nested more than {MAX_DEPTH} deep",
            hint="does a tool or an agent call its own run? let the innermost contemplator have a plain Agent",
        )
    return depth + 1


def limits_within(limits: Limits, scope: RunScope) -> Limits:
    """Return `limits` for a run at `place`, ending before the outer run's deadline, so that its answer still counts."""
    left = _seconds_left() if scope.blocked is None else scope.blocked.seconds
    left -= min(left * SHARE_OF_OUTER, MAX_SECONDS_OF_OUTER)
    if left >= (limits.seconds or math.inf):
        return limits
    return limits.model_copy(update={"seconds": max(left, 0.001)})


def _seconds_left() -> float:
    deadline = anyio.current_effective_deadline()
    # In a scope that is cancelled there is none: not time ends the run, but what comes with its first await.
    return math.inf if deadline == -math.inf else deadline - anyio.current_time()


async def in_loop_of(scope: RunScope, function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` in the event loop of the run at `scope`, in another thread, and return its result.

    It is cancelled when that run ends, or when this task is cancelled.
    """
    started: list[anyio.CancelScope] = []

    async def start() -> T:
        with anyio.CancelScope() as own:
            started.append(own)
            return await _in_group(scope, function)
        raise _ended()

    try:
        return await anyio.to_thread.run_sync(
            partial(anyio.from_thread.run, start, token=scope.loop), abandon_on_cancel=True
        )
    finally:
        for each in started:
            call_soon(scope.loop, each.cancel)


def blocking_in_loop_of(scope: RunScope, function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` in the event loop of the run at `scope`, and return its result; blocks this worker thread."""
    return anyio.from_thread.run(partial(_in_group, scope, function), token=scope.loop)


async def _in_group(scope: RunScope, function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` in the run's task group: a worker thread may outlive the run, the function may not."""
    returned: list[T] = []
    raised: list[BaseException] = []
    inner = anyio.CancelScope(deadline=anyio.current_effective_deadline())
    over = anyio.Event()

    async def run() -> None:
        try:
            with inner, scope.entered():
                returned.append(await function())
        except Exception as error:
            raised.append(error)
        finally:
            over.set()

    scope.run.group.start_soon(run)
    try:
        await over.wait()
    finally:
        inner.cancel()
    if raised:
        raise raised[0]
    if not returned:
        raise _ended()
    return returned[0]


def _ended() -> ContemplateError:
    return ContemplateError("the run within which this one was started has ended")


def back_here(function: Callable[[T], object]) -> Callable[[T], None]:
    """Return a function that other threads can call, and that calls `function` in this event loop."""
    loop = anyio.lowlevel.current_token()
    return lambda given: call_soon(loop, function, given)


@contextmanager
def blocking(scope: RunScope) -> Iterator[None]:
    """Mark that the run's event loop is blocked, waiting for what the block calls in another thread."""
    blocked = Blocked(_seconds_left())
    token = current_run.set(replace(scope, blocked=blocked))
    try:
        yield
    finally:
        current_run.reset(token)
        for each in blocked.later:
            each()
