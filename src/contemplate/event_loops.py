"""Event loops: their time, and how other threads reach them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
from anyio.lowlevel import EventLoopToken, current_token


def time_in(token: EventLoopToken) -> Callable[[], float]:
    """Return what tells the time in an event loop, in seconds, as `anyio.current_time` does from within it."""
    # That one looks for the event loop each time.
    told: Callable[[], float] = getattr(token.native_token, "time", anyio.current_time)
    return told


def call_in(token: EventLoopToken, function: Callable[[], object]) -> None:
    """Call `function` in an event loop: at once if the caller runs in it, else as soon as it goes on."""
    if current_token() == token:
        function()
    else:
        call_soon(token, function)


def call_soon(token: EventLoopToken, function: Callable[..., object], *args: Any) -> None:
    """Schedule a call of `function` in an event loop, from any thread, without waiting for it."""
    loop: Any = token.native_token
    soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
    # The loop may be closed: then nobody is left to receive the call.
    with suppress(RuntimeError):
        soon(function, *args)
