"""Lone surrogates, which no encoding can write: wherever a text comes in, they are replaced, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from contemplate import Answer, Contemplator, RunContext, Task, TaskContext, TaskResult, aggregators
from contemplate.data import readable, readable_json, to_json_text
from contemplate.events import Event
from contemplate.journal import Journal
from contemplate.messages import Message, ToolCall
from contemplate.run.output_type import OutputType
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio

LONE = "a\ud800b"
CLEAN = "a\N{REPLACEMENT CHARACTER}b"
any_text = st.text(st.characters(exclude_categories=()))


class Word(BaseModel):
    word: str


def seen(event: Event) -> None:
    event.model_dump_json()


async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id=LONE, prompt=LONE, title=LONE, instructions=LONE)
    yield Task(id="b", prompt="b", needs=(LONE,))


async def answer(task: Task, ctx: TaskContext) -> Answer:
    return Answer(LONE)


async def conclude(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    ctx.note(LONE)
    return LONE + "".join([each.text async for each in results])


def file_name() -> str:
    """Return a name that is not UTF-8."""
    raise OSError(LONE)


@pytest.mark.parametrize("journal", [None, "memory:"])
@pytest.mark.parametrize(
    ("script", "options", "text"),
    [
        ([LONE], {"mode": "instant"}, CLEAN),
        (LONE, {"mode": "vote"}, CLEAN),
        (LONE, {"planner": plan, "aggregator": aggregators.synthesize()}, CLEAN),
        ("unused", {"planner": plan, "agent": answer, "aggregator": conclude}, CLEAN * 3),
        (
            [Message.assistant(LONE, (ToolCall(id="1", name="file_name", arguments="{}"),)), "ok"],
            {"mode": "instant", "tools": [file_name]},
            "ok",
        ),
        (
            [json.dumps({"tasks": [{"title": LONE, "prompt": LONE}] * 2}), "one", "two", LONE],
            {"mode": "contemplating"},
            CLEAN,
        ),
    ],
)
async def test_a_run(script: Any, options: Any, text: str, journal: str | None) -> None:
    mind = Contemplator(ScriptedModel(script), journal=journal, on_event=seen, **options)
    result = await mind.run("Why " + LONE, run_id="r")
    assert result.text == text
    assert result.question == "Why " + CLEAN
    assert type(result).model_validate_json(result.model_dump_json()).text == text
    if journal is not None:
        assert (await mind.replay("r")).text == text


async def test_labels() -> None:
    journal = Journal()
    mind = Contemplator(ScriptedModel("ok"), mode="instant", journal=journal)
    await mind.run("q", run_id="r", labels={LONE: [LONE, 1, None, 0.5]})
    run = journal.load("r")
    assert run is not None
    assert run.labels == {CLEAN: [CLEAN, 1, None, 0.5]}


async def test_typed_output() -> None:
    model = ScriptedModel(json.dumps({"word": LONE}))
    assert (await Contemplator(model, mode="instant", output_type=Word).run("q")).output == Word(word=CLEAN)
    assert len(model.requests) == 1, "nothing to repair"


@given(any_text)
def test_whatever_is_written_can_be_encoded(text: str) -> None:
    clean = readable(text)
    clean.encode()
    assert clean == text or any("\ud800" <= letter <= "\udfff" for letter in text)
    assert Message.user(text).text == clean
    assert OutputType(list[str]).parse(json.dumps({"value": [text]})) == [clean]
    assert json.loads(readable_json(json.dumps(text))) == clean
    assert json.loads(to_json_text({text: [text]})) == {clean: [clean]}


@pytest.mark.parametrize(
    ("value", "text"), [(b"\xff\xfe", '"__4="'), ({3: b"\xff", "a": b"ok"}, None), ([b"\xff", "\ud800"], None)]
)
def test_bytes_that_are_no_text_are_written_as_base64(value: object, text: str | None) -> None:
    written = to_json_text(value)
    json.loads(written)
    assert text is None or written == text
