"""Reads in threads that nobody has to wait for."""

from __future__ import annotations

import threading

import anyio
import pytest

from contemplate.journal.patience import in_daemon_thread

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio


async def test_what_it_returns_or_raises_is_passed_on() -> None:
    limiter = anyio.CapacityLimiter(1)
    assert await in_daemon_thread(lambda first, second: (first, second), 1, 2, limiter=limiter) == (1, 2)
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(lambda: 1 // 0, limiter=limiter)
    assert limiter.borrowed_tokens == 0


async def test_whoever_is_cancelled_does_not_wait_but_others_have_no_more_room_for_that() -> None:
    limiter, go_on, threads = anyio.CapacityLimiter(1), threading.Event(), list[threading.Thread]()

    def read() -> bool:
        threads.append(threading.current_thread())
        return go_on.wait(PATIENCE)

    with anyio.fail_after(PATIENCE):
        for _ in range(3):
            with anyio.move_on_after(0.05):
                await in_daemon_thread(read, limiter=limiter)
        assert limiter.borrowed_tokens == len(threads) == 1
        assert threads[0].daemon, "the process does not wait for it either"
        go_on.set()
        assert await in_daemon_thread(read, limiter=limiter)
    assert limiter.borrowed_tokens == 0
