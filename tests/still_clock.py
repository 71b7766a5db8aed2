"""Event loops on which no time passes but what a test lets pass: a deadline falls where it should on any machine."""

from __future__ import annotations

import asyncio
import math

import anyio
import pytest
import trio.lowlevel
import trio.testing

from .support import steps

# How many steps the others get before time passes: more than they need to come to a halt, if nothing works in threads.
MOST_STEPS = 300


class StillLoop(asyncio.SelectorEventLoop):
    """asyncio's event loop, whose clock stands still."""

    now = 1_000.0

    def time(self) -> float:
        return self.now


on_a_still_clock = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"loop_factory": StillLoop}), id="asyncio"),
        pytest.param(("trio", {"clock": trio.testing.MockClock()}), id="trio"),
    ],
)


def let_pass(seconds: float) -> bool:
    """Let time pass at once, and return whether that was possible: whether the clock stands still."""
    clock = trio.lowlevel.current_clock() if trio.lowlevel.in_trio_run() else asyncio.get_running_loop()
    if isinstance(clock, trio.testing.MockClock):
        clock.jump(seconds)
    elif isinstance(clock, StillLoop):
        clock.now += seconds
    return isinstance(clock, trio.testing.MockClock | StillLoop)


async def outlast() -> None:
    """Hang. On a still clock, time passes until the deadline of the caller, once all others have done what they can."""
    await steps(MOST_STEPS)
    left = anyio.current_effective_deadline() - anyio.current_time()
    if left < math.inf:
        # A little more, as a difference of floating-point numbers may fall short.
        let_pass(max(left, 0.0) + 1e-6)
    await anyio.sleep_forever()
