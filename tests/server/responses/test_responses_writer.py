"""Whatever a run tells, the items and events of its response hang together, for the official client's own reader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent

from contemplate import ImagePart, RunResult, Usage
from contemplate.decisions import PendingCall
from contemplate.server.api_errors import Failure
from contemplate.server.deltas import FinishReason, ReplyDelta
from contemplate.server.responses.background import KeptReply
from contemplate.server.responses.events import Event
from contemplate.server.responses.resource import Response, new_response
from contemplate.server.responses.schema import ResponsesRequest
from contemplate.server.responses.writer import ResponseWriter

from .conftest import reader_of

deltas = st.lists(
    st.builds(
        ReplyDelta,
        reasoning=st.text(max_size=5),
        content=st.text(max_size=5),
        restart=st.booleans(),
        turn=st.booleans(),
    )
)
calls = st.lists(
    st.builds(PendingCall, id=st.text(min_size=1), run_id=st.just("r"), tool=st.just("look")),
    max_size=3,
    unique_by=lambda call: call.id,
)


def writer(**body: Any) -> ResponseWriter:
    return ResponseWriter(new_response(ResponsesRequest(model="m", input=(), **body), ()))


def result(**fields: Any) -> RunResult[Any]:
    return RunResult(run_id="r", question="q", output="", text="", usage=Usage(calls=1), **fields)


def read(told: Iterable[Event]) -> list[Any]:
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    read: list[Any] = []
    for each in told:
        event = reader_of(ResponseStreamEvent).validate_json(each.model_dump_json(by_alias=True), strict=True)
        state.handle_event(event)
        read.append(event)
    assert [each.sequence_number for each in read] == list(range(len(read)))
    return read


def check(told: list[Any]) -> None:
    added = [each.item for each in told if each.type == "response.output_item.added"]
    done = [each.item for each in told if each.type == "response.output_item.done"]
    assert [(each.type, each.id) for each in added] == [(each.type, each.id) for each in done]
    assert [each.output_index for each in told if each.type == "response.output_item.added"] == list(range(len(added)))
    kept = told[-1].response.output
    assert [each for each in done if each in kept] == kept
    for item in done:
        pieces = [each.delta for each in told if getattr(each, "item_id", "") == item.id and hasattr(each, "delta")]
        whole = {"message": "content", "reasoning": "summary"}.get(item.type)
        if whole is not None:
            assert "".join(pieces) == getattr(item, whole)[0].text


# To read an answer as the official client does takes long, and what may go wrong is soon found.
few = settings(max_examples=40)


@few
@given(said=deltas, text=st.text(max_size=5), cut=st.sampled_from(["stop", "length"]), stopped=st.booleans())
def test_an_answer(said: list[ReplyDelta], text: str, cut: FinishReason, stopped: bool) -> None:
    made = writer(max_output_tokens=5)

    def events() -> Iterable[Event]:
        yield from made.begin()
        for each in said:
            yield from made.say(each)
        images = (ImagePart(data=b"x"),) if stopped else ()
        yield from made.end(result(stopped_by="calls" if stopped else None, images=images), text, cut)

    told = read(events())
    check(told)
    assert told[-1].response.status == ("incomplete" if cut == "length" and not stopped else "completed")


@few
@given(said=deltas, pending=calls)
def test_calls(said: list[ReplyDelta], pending: list[PendingCall]) -> None:
    made = writer()

    def events() -> Iterable[Event]:
        yield from made.begin()
        for each in said:
            yield from made.say(each)
        yield from made.end(result(pending=tuple(pending)), "", "tool_calls")

    told = read(events())
    check(told)
    output = told[-1].response.output
    assert [each.call_id for each in output if each.type == "function_call"] == [each.id for each in pending]
    assert all(each.phase == "commentary" for each in output if each.type == "message")


@few
@given(said=deltas, status=st.sampled_from([400, 429, 500]))
def test_a_failure(said: list[ReplyDelta], status: int) -> None:
    made = writer()

    def events() -> Iterable[Event]:
        yield from made.begin()
        for each in said:
            yield from made.say(each)
        yield from made.fail(Failure(status, "it fell over", "server_error"))

    told = read(events())
    check(told)
    assert told[-1].type == "response.failed"


@pytest.mark.anyio
async def test_whoever_follows_is_told_everything_once() -> None:
    kept: list[Response] = []

    async def keep(response: Response, events: tuple[str, ...]) -> None:
        kept.append(response)

    reply = KeptReply(writer(background=True), keep)
    heard: dict[int, list[str]] = {}

    async def follow(after: int) -> None:
        heard[after] = [each async for each in reply.follow(after)]

    async with anyio.create_task_group() as group:
        group.start_soon(follow, -1)
        group.start_soon(follow, 2)
        await anyio.lowlevel.checkpoint()
        reply.start()
        for word in ("one ", "two ", "three"):
            await reply.say(ReplyDelta(content=word))
            await anyio.lowlevel.checkpoint()
        await reply.end(result(), "one two three", "stop")
    await follow(4)
    assert [f'"sequence_number":{number},' in each for number, each in enumerate(heard[-1])] == [True] * len(heard[-1])
    assert heard[2] == heard[-1][3:]
    assert heard[4] == heard[-1][5:]
    assert kept[-1].status == "completed"


@pytest.mark.anyio
async def test_whoever_follows_waits_until_the_end_is_stored() -> None:
    asks, stored = anyio.Event(), anyio.Event()

    async def keep(response: Response, events: tuple[str, ...]) -> None:
        if response.over:
            asks.set()
            await stored.wait()

    reply = KeptReply(writer(background=True), keep)
    heard: list[str] = []

    async def follow() -> None:
        heard.extend([each async for each in reply.follow(-1)])

    async with anyio.create_task_group() as group:
        group.start_soon(reply.end, result(), "one", "stop")
        await asks.wait()
        group.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        stored.set()
    assert '"response.completed"' in heard[-1]
