"""How a journal, whose methods block, is used by what must not: at once if it is free, else in a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from ..errors import JournalBusy

# Seconds for which others are waited for: where nothing else goes on meanwhile, and where nothing else has to.
QUICK = 0.02
PATIENCE = 30.0
# Seconds after which it is tried again.
PAUSE = 0.01

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def in_thread(function: Callable[[*Args], T], *args: *Args) -> T:
    """Call a blocking function of a journal in a thread of its own: slow tools may occupy all that AnyIO shares."""
    return await anyio.to_thread.run_sync(function, *args, limiter=anyio.CapacityLimiter(1))


async def quickly(read: Callable[[float], T], patience: float, *, remote: bool = False) -> T:
    """Read from a journal at once, or, if it is remote or others keep it to themselves, in a thread that waits."""
    if not remote:
        try:
            return read(min(patience, QUICK))
        except JournalBusy:
            pass
    return await in_thread(read, patience)


async def when_free(use: Callable[[], T], patience: float) -> T:
    """Use what can be used at once or not at all; others are waited for between one try and the next.

    Raises:
        JournalBusy: they are not done.
    """
    until = anyio.current_time() + patience
    while True:
        try:
            return use()
        except JournalBusy:
            if anyio.current_time() >= until:
                raise
        await anyio.sleep(PAUSE)
