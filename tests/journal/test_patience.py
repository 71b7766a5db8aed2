"""Reads in threads that nobody has to wait for."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import anyio.to_thread
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
    limiter, began, go_on = anyio.CapacityLimiter(1), threading.Event(), threading.Event()
    threads = list[threading.Thread]()

    def read() -> bool:
        threads.append(threading.current_thread())
        began.set()
        return go_on.wait(PATIENCE)

    with anyio.fail_after(PATIENCE):
        for _ in range(3):
            async with anyio.create_task_group() as group:
                group.start_soon(partial(in_daemon_thread, read, limiter=limiter))
                await anyio.to_thread.run_sync(began.wait, PATIENCE)
                group.cancel_scope.cancel()
        assert limiter.borrowed_tokens == len(threads) == 1
        assert threads[0].daemon, "the process does not wait for it either"
        go_on.set()
        assert await in_daemon_thread(read, limiter=limiter)
    assert limiter.borrowed_tokens == 0
