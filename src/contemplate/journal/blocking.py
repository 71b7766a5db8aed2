"""Calls of a journal's methods, which block, from async code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def in_thread(function: Callable[[*Args], T], *args: *Args) -> T:
    """Call a blocking function of a journal in a thread of its own: slow tools may occupy all that AnyIO shares."""
    return await anyio.to_thread.run_sync(function, *args, limiter=anyio.CapacityLimiter(1))
