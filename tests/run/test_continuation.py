"""Answers that their share of a limit cut off go on when it is known what the others leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from contemplate import Agent, Contemplator, Limits, RunContext, Task, TaskContext, Usage
from contemplate.aggregators import first, vote
from contemplate.errors import ModelServerError
from contemplate.events import OutputDelta
from contemplate.journal import Journal
from contemplate.messages import Message, ToolCall
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.planners import direct, sample
from contemplate.prompts import render
from contemplate.result import Conclusion, TaskResult
from contemplate.run.continuation import _Sink, whole_answer
from contemplate.run.shares import More

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio

SHORT, LONG = "brief. ", "a long story of it, " * 60


def tokens(text: str) -> int:
    return -(-len(text) // 4)


class Writer:
    """A model that writes LONG where it is asked for something long, and keeps to `max_tokens`."""

    name = "writer"

    def __init__(self, long: str = LONG) -> None:
        self.long = long
        self.requests: list[ModelRequest] = []

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        await anyio.lowlevel.checkpoint()
        self.requests.append(request)
        text, calls = self.long if "long" in str(request.messages) else SHORT, self.calls(request)
        if request.messages[-1].text == render("continue_answer"):
            text = text[len(request.messages[-2].text) :]
        most = request.settings.max_tokens or 10_000
        cut = tokens(text) > most
        text = text[: most * 4]
        if on_delta is not None:
            for place in range(0, len(text), 50):
                on_delta(Delta(text[place : place + 50]))
        return ModelResponse(
            message=Message.assistant(text, () if cut else calls),
            finish="length" if cut else "tool_calls" if calls else "stop",
            usage=Usage(
                calls=1,
                input_tokens=sum(tokens(message.text) for message in request.messages),
                output_tokens=tokens(text),
            ),
            model=self.name,
        )

    def calls(self, request: ModelRequest) -> tuple[ToolCall, ...]:
        return ()


async def four(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    for name in ("a", "b", "c"):
        yield Task(id=name, prompt="Say it.")
    yield Task(id="d", prompt="Be long.")


async def all_of_them(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
    return Conclusion(text=" ".join(sorted([each.text async for each in results])))


def mind(model: Writer, **more: Any) -> Contemplator[str]:
    parts: dict[str, Any] = {"planner": four, "aggregator": all_of_them, "limits": Limits(output_tokens=400)}
    contemplator: Contemplator[str] = Contemplator(model, **(parts | more))
    return contemplator


@pytest.mark.parametrize("stream", [True, False])
async def test_a_text_goes_on_where_it_stopped(stream: bool) -> None:
    model = Writer()
    result = await mind(model, stream=stream).run("q")
    task = result.tasks[3]
    assert task.text == LONG
    assert (task.outcome, task.usage.calls) == ("answered", 2)
    assert (result.complete, result.stopped_by) == (True, None)
    written, said = (message.text for message in model.requests[-1].messages[-2:])
    assert LONG.startswith(written)
    assert said == render("continue_answer")


@pytest.mark.parametrize("error", [ModelServerError("busy", model="writer"), KeyError("a fault of a user's model")])
@pytest.mark.parametrize("stream", [True, False])
async def test_what_cannot_go_on_keeps_what_was_paid_for(error: Exception, stream: bool) -> None:
    class Breaks(Writer):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            if request.messages[-1].text == render("continue_answer"):
                raise error
            return await super().request(request, on_delta)

    result = await mind(Breaks(), stream=stream).run("q")
    task = result.tasks[3]
    assert task.outcome == "capped"
    assert task.text
    assert LONG.startswith(task.text)
    assert (result.complete, result.stopped_by) == (False, "output_tokens")
    assert any("going on with it failed" in note for note in result.notes)


async def test_what_is_streamed_is_the_answer() -> None:
    said: list[str] = []
    async with mind(Writer(), planner=direct(), aggregator=first(), limits=Limits(output_tokens=400)).stream(
        "long"
    ) as run:
        async for event in run:
            if isinstance(event, OutputDelta):
                said = [event.text] if event.restart else [*said, event.text]
    assert "".join(said) == LONG


async def test_typed_output_is_asked_for_again() -> None:
    class Story(BaseModel):
        text: str

    model = Writer(Story(text=LONG).model_dump_json())
    shared = Contemplator(
        model, planner=mixed, aggregator=first(), output_type=Story, limits=Limits(output_tokens=1000), stream=True
    )
    result = await shared.run("q")
    assert result.output == Story(text=LONG)
    asked = [request.messages for request in model.requests if "Be long" in request.messages[-1].text]
    assert len(asked) > 1
    assert len(set(map(str, asked))) == 1


async def mixed(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    for name in ("a", "b", "c"):
        yield Task(id=name, prompt="Say it.", kind="part", held=True)
    yield Task(id="d", prompt="Be long.", kind="candidate")


async def test_a_turn_that_is_refused_leaves_the_text_of_the_one_before() -> None:
    class Asking(Writer):
        def calls(self, request: ModelRequest) -> tuple[ToolCall, ...]:
            return (ToolCall(id="1", name="look", arguments="{}"),) if request.messages[-1].role != "tool" else ()

    def look() -> str:
        """Look at it."""
        return "much " * 2000

    result = await mind(
        Asking(), planner=direct(), agent=Agent(tools=[look]), aggregator=first(), limits=Limits(total_tokens=3000)
    ).run("q")
    assert (result.text.strip(), result.complete, result.stopped_by) == (SHORT.strip(), False, "total_tokens")


async def test_who_waits_for_a_task_that_was_cut_off_does_not_block_it() -> None:
    done = anyio.Event()

    async def agent(task: Task, ctx: TaskContext) -> str:
        response = await ctx.call(ModelRequest((Message.user(task.prompt),)))
        if task.id == "d":
            done.set()
        await done.wait()
        return response.message.text

    with anyio.fail_after(PATIENCE):
        result = await mind(Writer(), agent=agent, limits=Limits(output_tokens=400, concurrency=1)).run("q")
    assert len(result.tasks[3].text) > 400


async def test_it_is_journaled_as_any_call() -> None:
    journal, model = Journal(None), Writer()
    contemplator = mind(model, journal=journal)
    result = await contemplator.run("q", run_id="r")
    made = len(model.requests)
    assert (await contemplator.run("q", run_id="r")).text == result.text
    assert (await contemplator.replay("r")).text == result.text
    assert len(model.requests) == made


async def test_what_did_not_go_on_does_not_in_a_replay_either() -> None:
    journal = Journal(None)
    contemplator = mind(Writer(), journal=journal, limits=Limits(output_tokens=100))
    result = await contemplator.run("q", run_id="r")
    assert result.tasks[3].outcome == "capped"
    assert (await contemplator.replay("r")).text == result.text


async def test_without_time_or_calls_for_it_the_answer_stays_as_it_is() -> None:
    result = await mind(Writer(), limits=Limits(output_tokens=400, calls=5)).run("q")
    task = result.tasks[3]
    assert (task.outcome, task.error and task.error.kind) == ("capped", "LimitExceeded")
    assert LONG.startswith(task.text)
    assert task.usage.calls == 1
    assert result.stopped_by == "output_tokens"


async def test_a_wave_of_samples_is_ended_before_the_next() -> None:
    model = Writer(LONG + "\nAnswer: 7")
    result = await mind(
        model, planner=sample(9, wave=3), aggregator=vote(stop=None), limits=Limits(output_tokens=1200)
    ).run("long")
    assert result.text.endswith("7")
    assert [task.outcome for task in result.tasks[:3]] == ["answered"] * 3


async def test_without_limits_nobody_is_followed() -> None:
    model = Writer()
    result = await mind(model, limits=Limits()).run("q")
    assert (result.tasks[3].text, len(model.requests)) == (LONG, 4)


async def test_an_answer_that_was_cut_off_is_told_before_more_is_asked_for() -> None:
    happened: list[str] = []

    async def call(request: ModelRequest, on_delta: DeltaSink | None, more: More | None) -> ModelResponse:
        happened.append("asked")
        text, cut = ("two", None) if "asked" in happened[:-1] else ("one ", "total_tokens")
        return ModelResponse(
            message=Message.assistant(text), finish="stop", usage=Usage(calls=1), model="m", capped_by=cut
        )

    request = ModelRequest((Message.user("q"),))
    answer = await whole_answer(call, request, None, lambda cut: happened.append(cut.message.text))
    assert happened == ["asked", "one ", "asked"]
    assert answer.capped_by is None
    happened.clear()
    assert (await whole_answer(call, request, None, None)).message == answer.message


@pytest.mark.parametrize(
    ("kept", "deltas", "told"),
    [
        ("so ", [Delta("far"), Delta("!")], [Delta("far"), Delta("!")]),
        ("so ", [Delta("far"), Delta("on", restart=True)], [Delta("far"), Delta("so on", restart=True)]),
        ("", [Delta("far"), Delta("!")], [Delta("far", restart=True), Delta("!")]),
    ],
)
async def test_what_goes_on_is_told_as_one_text(kept: str, deltas: list[Delta], told: list[Delta]) -> None:
    heard: list[Delta] = []
    sink = _Sink(heard.append, kept)
    for delta in deltas:
        sink(delta)
    assert heard == told
