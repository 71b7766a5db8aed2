"""How a journal, whose methods block, is used by what must not: at once if it is free, else in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from anyio.lowlevel import current_token

from ..errors import JournalBusy
from ..event_loops import call_soon

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


async def in_daemon_thread(function: Callable[[*Args], T], *args: *Args, limiter: anyio.CapacityLimiter) -> T:
    """Call a blocking function that only reads in a thread that is left to itself if the caller is cancelled.

    Its place in `limiter` is free again when it ends. The process does not wait for it, as it does for others.
    """
    ended, outcome, borrower = anyio.Event(), list[Callable[[], T]](), object()
    await limiter.acquire_on_behalf_of(borrower)
    loop = current_token()

    def end() -> None:
        limiter.release_on_behalf_of(borrower)
        ended.set()

    def work() -> None:
        try:
            value = function(*args)
            outcome.append(lambda: value)
        except BaseException as raised:
            outcome.append(partial(_raise, raised))
        call_soon(loop, end)

    try:
        threading.Thread(target=work, name="contemplate read", daemon=True).start()
    except BaseException:
        limiter.release_on_behalf_of(borrower)
        raise
    await ended.wait()
    (returned,) = outcome
    return returned()


def _raise(error: BaseException) -> NoReturn:
    raise error


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
