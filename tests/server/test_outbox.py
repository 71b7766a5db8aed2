"""What waits for a client: joined to fewer pieces, and not more than it may be."""

from __future__ import annotations

import anyio
import pytest

from contemplate.events import Noted
from contemplate.server.deltas import ReplyDelta
from contemplate.server.outbox import MOST_CHARACTERS, Outbox, Unread, joined

pytestmark = pytest.mark.anyio


def test_what_can_be_said_at_once_is_one_piece() -> None:
    told = ReplyDelta(reasoning="noted", event=Noted(message="noted"))
    pieces = [
        *(ReplyDelta("a"), ReplyDelta("b"), ReplyDelta(content="c"), ReplyDelta(content="d")),
        *(ReplyDelta("e"), told, ReplyDelta("f"), ReplyDelta(content="g", restart=True), ReplyDelta(content="h")),
    ]
    assert list(joined(pieces)) == [
        *(ReplyDelta("ab", "cd"), ReplyDelta("e"), told, ReplyDelta("f"), ReplyDelta("", "gh", restart=True)),
    ]


async def test_whoever_is_too_far_behind_is_given_up() -> None:
    unread = anyio.Event()

    async def never_read(delta: ReplyDelta) -> None:
        unread.set()
        await anyio.sleep_forever()

    full = Outbox(never_read, lambda: 1)
    async with anyio.create_task_group() as group:
        group.start_soon(full.deliver)
        full.open()
        full.put(ReplyDelta(content="first"))
        await unread.wait()
        half = "x" * (MOST_CHARACTERS // 2)
        full.put(ReplyDelta(reasoning=half))
        full.put(ReplyDelta(content=half))
        errors = [full._error]
        full.put(ReplyDelta(content="x"))
        errors.append(full._error)
        assert [type(each) for each in errors] == [type(None), Unread]
        with pytest.raises(Unread):
            await full.watch(60)
        group.cancel_scope.cancel()
