"""The mailbox: nothing is lost, nothing comes twice, and whoever waits is woken."""

from __future__ import annotations

import anyio
import pytest

from contemplate.run.mailbox import Mailbox

from .patience import PATIENCE
from .support import steps

pytestmark = pytest.mark.anyio


async def test_what_is_put_in_comes_out_in_order() -> None:
    box: Mailbox[int] = Mailbox()
    seen: list[int] = []

    async def read() -> None:
        async for item in box:
            seen.append(item)
            await steps(item % 3)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for item in range(100):
            box.put(item)
            await steps(item % 4)
        box.close()
    assert seen == list(range(100))


async def test_what_was_put_in_before_the_end_is_still_read() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.put(2)
    box.close()
    box.put(3)
    assert [item async for item in box] == [1, 2]
    assert [item async for item in box] == []


async def test_closing_wakes_whoever_waits() -> None:
    box: Mailbox[int] = Mailbox()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(anext, box, None)
        await steps(3)
        box.close()


async def test_closing_twice_does_no_harm() -> None:
    box: Mailbox[int] = Mailbox()
    box.close()
    box.close()
    assert [item async for item in box] == []


@pytest.mark.parametrize("count", range(12))
async def test_a_reader_that_is_cancelled_takes_nothing_with_it(count: int) -> None:
    """At every step: what the reader has not seen is there for the next one."""
    box: Mailbox[int] = Mailbox()
    seen: list[int] = []

    async def read() -> None:
        async for item in box:
            seen.append(item)

    async with anyio.create_task_group() as group:

        async def write() -> None:
            for item in range(3):
                await steps(2)
                box.put(item)

        group.start_soon(read)
        group.start_soon(write)
        await steps(count)
        group.cancel_scope.cancel()
    put_in = len(seen) + len(box._items)
    box.close()
    assert seen + [item async for item in box] == list(range(put_in))


async def test_readers_share_what_is_there() -> None:
    box: Mailbox[int] = Mailbox()
    seen: list[int] = []

    async def read() -> None:
        async for item in box:
            seen.append(item)
            await steps(1)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(read)
            await steps(3)
            for item in range(50):
                box.put(item)
                await steps(item % 3)
            box.close()
    assert sorted(seen) == list(range(50))


def test_made_without_a_loop_and_used_in_one() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)

    async def read() -> int:
        return await anext(box)

    assert anyio.run(read) == 1


async def test_nothing_is_read_out_by_nobody() -> None:
    box: Mailbox[int] = Mailbox()
    seen = [box.is_read_out]
    async with anyio.create_task_group() as group:
        group.start_soon(box.__anext__)
        await steps(2)
        seen.append(box.is_read_out)
        box.put(1)
        seen.append(box.is_read_out)
        await steps(2)
        seen.append(box.is_read_out)
    assert seen == [False, True, False, False]
