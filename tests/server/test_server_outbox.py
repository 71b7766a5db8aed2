"""What waits to be said is said at once, then in pieces that have a moment between them; nobody fast is dropped."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate.server.deltas import ReplyDelta
from contemplate.server.event_stream import TextEvent
from contemplate.server.outbox import MOST_CHARACTERS, Outbox, Unread, delivering

pytestmark = pytest.mark.anyio


class Said(list[ReplyDelta]):
    async def say(self, delta: ReplyDelta) -> None:
        self.append(delta)
        await anyio.lowlevel.checkpoint()


async def told(outbox: Outbox, said: Said, text: str) -> None:
    """Put a text, and wait until all is said."""
    outbox.put(ReplyDelta(content=text))
    while "".join(each.content for each in said)[-len(text) :] != text:
        await anyio.lowlevel.checkpoint()


async def test_all_is_said_in_its_order_and_what_comes_together_is_one_piece() -> None:
    said = Said()
    async with delivering(said.say, 5, lambda: 1) as outbox:
        outbox.open()
        await told(outbox, said, "0 ")
        for number in range(1, 200):
            outbox.put(ReplyDelta(content=f"{number} "))
    assert "".join(each.content for each in said) == "".join(f"{number} " for number in range(200))
    assert len(said) == 2


async def test_the_end_waits_for_no_pause() -> None:
    said = Said()
    with anyio.fail_after(60):
        async with delivering(said.say, 5, lambda: 10**9) as outbox:
            outbox.open()
            for number in range(20):
                await told(outbox, said, f"{number}") if not number else outbox.put(ReplyDelta(content=f"{number}"))
    assert len(said) == 2


async def test_a_long_piece_alone_is_no_sign_that_nobody_reads() -> None:
    said = Said()
    async with delivering(said.say, 5, lambda: 1) as outbox:
        outbox.open()
        outbox.put(ReplyDelta(content="x" * (MOST_CHARACTERS + 1)))
    assert len(said[0].content) == MOST_CHARACTERS + 1


async def test_who_is_far_behind_is_dropped() -> None:
    asked = anyio.Event()

    async def never(delta: ReplyDelta) -> None:
        asked.set()
        await anyio.sleep_forever()

    with pytest.raises(Unread):
        async with delivering(never, 60, lambda: 1) as outbox:
            outbox.open()
            outbox.put(ReplyDelta(content="first"))
            await asked.wait()
            outbox.put(ReplyDelta(content="x" * (MOST_CHARACTERS + 1)))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_stands_where_it_was_written(model: str, text: str) -> None:
    def written(text: str) -> bytes:
        return json.dumps({"model": model, "text": text, "end": None}).encode()

    expected: dict[str, Any] = {"model": model, "text": text, "end": None}
    assert json.loads(TextEvent(written).of(text)) == expected
