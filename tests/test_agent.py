"""One subagent: tools, typed output, repair, caps, and what it is shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import anyio
import pytest
from pydantic import BaseModel

from contemplate import (
    Agent,
    Contemplator,
    ImagePart,
    Message,
    ModelSettings,
    RunContext,
    Task,
    TaskResult,
    Tool,
    aggregators,
    planners,
    tool,
)
from contemplate.errors import AggregationError, ConfigurationError, ToolError
from contemplate.events import Event, TaskDelta, TaskFinished, ToolFinished, ToolStarted
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest, ModelResponse
from contemplate.result import RunResult
from contemplate.testing import ScriptedModel
from contemplate.usage import Usage

pytestmark = pytest.mark.anyio


def calls(*wanted: tuple[str, object]) -> Message:
    made = [ToolCall(id=f"c{i}", name=name, arguments=json.dumps(args)) for i, (name, args) in enumerate(wanted)]
    return Message.assistant("", tuple(made))


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
async def fail(why: str) -> str:
    """Fail."""
    raise ToolError(f"refused: {why}")


async def test_a_tool_is_called_and_its_result_goes_back() -> None:
    model = ScriptedModel([calls(("add", {"a": 2, "b": 3})), "It is 5."])
    result = await Contemplator(model, mode="instant", tools=[add]).run("2 + 3?")
    assert result.output == "It is 5."
    roles = [(each.role, each.text) for each in result.tasks[0].messages]
    assert roles[1:] == [("assistant", ""), ("tool", "5"), ("assistant", "It is 5.")]
    assert result.usage.calls == 2


async def test_the_calls_of_one_turn_run_at_the_same_time() -> None:
    here = 0
    both = anyio.Event()

    async def meet(name: str) -> str:
        """Wait for the other one."""
        nonlocal here
        here += 1
        if here == 2:
            both.set()
        await both.wait()
        return name

    model = ScriptedModel([calls(("meet", {"name": "a"}), ("meet", {"name": "b"})), "done"])
    result = await Contemplator(model, mode="instant", tools=[meet]).run("q")
    assert [each.text for each in result.tasks[0].messages if each.role == "tool"] == ["a", "b"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("fail", {"why": "no"}), "ToolError: refused: no"),
        (("add", {"a": "x"}), "wrong arguments for add: a: "),
        (("nope", {}), "there is no tool 'nope'; there are: add, fail"),
    ],
)
async def test_a_failing_tool_is_told_to_the_model_and_the_task_goes_on(call: tuple[str, object], said: str) -> None:
    model = ScriptedModel([calls(call), "Then without."])
    events: list[Event] = []
    mind = Contemplator(model, mode="instant", tools=[add, fail], on_event=events.append)
    result = await mind.run("q")
    assert result.output == "Then without."
    assert said in next(each.text for each in result.tasks[0].messages if each.role == "tool")
    finished = next(each for each in events if isinstance(each, ToolFinished))
    assert finished.error is not None


async def test_in_the_last_turn_there_are_no_tools() -> None:
    def script(request: ModelRequest) -> Message | str:
        return "at last" if request.tool_choice == "none" else calls(("add", {"a": 1, "b": 1}))

    agent = Agent(tools=[add], max_turns=3)
    result = await Contemplator(ScriptedModel(script), mode="instant", agent=agent).run("q")
    assert (result.output, result.usage.calls) == ("at last", 3)


async def test_a_model_that_only_ever_calls_tools_is_capped() -> None:
    agent = Agent(tools=[add], max_turns=3)
    mind = Contemplator(ScriptedModel(lambda _: calls(("add", {"a": 1, "b": 1}))), mode="instant", agent=agent)
    with pytest.raises(AggregationError, match="capped") as caught:
        await mind.run("q")
    assert caught.value.partial is not None
    assert caught.value.partial.tasks[0].outcome == "capped"


class Point(BaseModel):
    x: int
    y: int = 0


async def typed(*replies: str, repairs: int = 2) -> RunResult[Point]:
    mind = Contemplator(
        ScriptedModel(list(replies)), mode="instant", agent=Agent(max_repairs=repairs), output_type=Point
    )
    return await mind.run("where?")


async def test_typed_output() -> None:
    result = await typed('{"x": 1, "y": 2}')
    assert result.output == Point(x=1, y=2)
    assert result.tasks[0].output == Point(x=1, y=2)


async def test_the_model_is_told_what_was_wrong_with_its_output() -> None:
    model = ScriptedModel(['{"x": "far"}', "no idea", 'Here: ```json\n{"x": 7}\n```'])
    result = await Contemplator(model, mode="instant", output_type=Point).run("where?")
    assert result.output == Point(x=7)
    assert "x: Input should be a valid integer" in model.requests[1].messages[-1].text
    assert result.usage.calls == 3


async def test_repairs_end() -> None:
    with pytest.raises(AggregationError, match="does not fit Point: .* after 1 repairs"):
        await typed("no", "no", "no", repairs=1)


async def test_output_that_is_no_object_travels_in_one() -> None:
    model = ScriptedModel('{"value": [1, 2]}')
    result = await Contemplator(model, mode="instant", output_type=list[int]).run("count")
    assert result.output == [1, 2]
    schema = model.requests[0].output_schema
    assert schema is not None
    assert schema.schema["type"] == "object"


async def test_an_answer_that_was_cut_off_is_capped_and_keeps_its_text() -> None:
    cut = ModelResponse(message=Message.assistant("half of"), finish="length", usage=Usage(calls=1), model="m")
    result = await Contemplator(ScriptedModel([cut]), mode="instant").run("q")
    assert (result.output, result.complete, result.tasks[0].outcome) == ("half of", False, "capped")


@pytest.mark.parametrize(
    ("finish", "text", "problem"), [("content_filter", "", "content filter"), ("stop", " ", "empty")]
)
async def test_no_answer_is_a_failure(finish: str, text: str, problem: str) -> None:
    reply = ModelResponse.model_validate(
        {"message": Message.assistant(text), "finish": finish, "usage": Usage(calls=1), "model": "m"}
    )
    with pytest.raises(AggregationError, match=problem):
        await Contemplator(ScriptedModel([reply]), mode="instant").run("q")


async def test_what_is_missing_is_said_to_be_missing() -> None:
    seen: list[str] = []

    def script(request: ModelRequest) -> str | Exception:
        prompt = request.messages[-1].text
        if "third" in prompt:
            seen.append(prompt)
        return RuntimeError("broken") if "first" in prompt else "the second result"

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="1", prompt="first")
        yield Task(id="2", prompt="second")
        yield Task(id="3", prompt="third", needs=("1", "2"))

    await Contemplator(ScriptedModel(script), planner=plan, aggregator=aggregators.first()).run("q")
    (prompt,) = seen
    assert "This result is missing" in prompt
    assert "the second result" in prompt
    assert "broken" not in prompt


async def test_subagents_share_their_prefix() -> None:
    model = ScriptedModel("ok")
    mind = Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote(stop=None))
    await mind.run("q")
    assert len({each.messages[0].text for each in model.requests}) == 1


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="same name"):
        Agent(tools=[add, Tool(lambda: 1, name="add")])


async def test_partial_text_of_a_cancelled_task_is_kept() -> None:
    class Slow:
        name = "slow"

        async def request(self, request: ModelRequest, on_delta: object = None) -> ModelResponse:
            from contemplate.models import Delta

            assert callable(on_delta)
            on_delta(Delta("half a "))
            on_delta(Delta("thought"))
            started.set()
            await anyio.sleep_forever()
            raise AssertionError

    started = anyio.Event()
    results = []

    async def wait(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        await started.wait()
        return "enough"

    def keep(event: object) -> None:
        if isinstance(event, TaskFinished):
            results.append(event.result)

    mind = Contemplator(Slow(), planner=planners.direct(), aggregator=wait, on_event=keep)
    result = await mind.run("q")
    assert (result.tasks[0].outcome, result.tasks[0].text) == ("cancelled", "half a thought")
    assert results == [result.tasks[0]]
    assert result.usage.output_tokens > 0, "what was written until then was paid for"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_tool_that_was_cancelled_by_somebody_else_has_failed(anyio_backend: str) -> None:
    async def lost() -> str:
        """Wait for what never comes."""
        never = asyncio.get_running_loop().create_future()
        never.cancel()
        await never
        return "never"

    model = ScriptedModel([calls(("lost", {})), "Then without."])
    result = await Contemplator(model, mode="instant", tools=[lost]).run("q")
    assert result.output == "Then without."
    assert "The tool failed. RuntimeError: it raised CancelledError" in result.tasks[0].messages[2].text


async def test_more_calls_of_one_turn_than_allowed_are_not_made() -> None:
    made: list[int] = []
    events: list[Event] = []

    async def note(number: int) -> str:
        """Note."""
        made.append(number)
        return "noted"

    model = ScriptedModel([calls(*(("note", {"number": number}) for number in range(1000))), "Enough."])
    result = await Contemplator(model, mode="instant", tools=[note], on_event=events.append).run("q")
    assert result.output == "Enough."
    assert sorted(made) == list(range(32))
    answers = [message.text for message in model.requests[1].messages if message.role == "tool"]
    assert answers[:32] == ["noted"] * 32
    assert set(answers[32:]) == {
        "The tool was not called: a turn may make 32 calls at most. If you still need this result, call the tool again."
    }
    assert len(answers) == 1000, "providers refuse a call without a result"
    started = [event.call_id for event in events if isinstance(event, ToolStarted)]
    finished = [event.call_id for event in events if isinstance(event, ToolFinished)]
    assert len(started) == len(finished) == 32


async def test_a_tool_call_shows_in_events_with_its_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.5])
    monkeypatch.setattr("contemplate.agents.tool_use.perf_counter", lambda: next(clock))
    events: list[Event] = []
    model = ScriptedModel([calls(("add", {"a": 1, "b": 2})), "3"])
    await Contemplator(model, mode="instant", tools=[add], on_event=events.append).run("q")
    started = next(event for event in events if isinstance(event, ToolStarted))
    finished = next(event for event in events if isinstance(event, ToolFinished))
    assert (started.task_id, started.tool, started.call_id) == ("answer", "add", "c0")
    assert (finished.task_id, finished.tool, finished.call_id) == ("answer", "add", "c0")
    assert (finished.seconds, finished.error) == (2.5, None)
    assert events.index(started) < events.index(finished)


@pytest.mark.parametrize("most", [1, 3])
async def test_the_number_of_calls_of_one_turn_is_a_setting(most: int) -> None:
    made: list[int] = []

    def note(number: int) -> None:
        """Note."""
        made.append(number)

    model = ScriptedModel([calls(*(("note", {"number": number}) for number in range(3))), "Enough."])
    await Contemplator(model, mode="instant", agent=Agent(tools=[note], max_tool_calls=most)).run("q")
    assert sorted(made) == list(range(most))


async def test_a_tool_that_hangs_ends_with_its_run() -> None:
    started, ended = anyio.Event(), anyio.Event()

    async def hang() -> str:
        """Hang."""
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return ""

    async def enough(question: str, results: object, ctx: object) -> str:
        await started.wait()
        return "enough"

    model = ScriptedModel([calls(("hang", {}), ("hang", {}))])
    result = await Contemplator(model, planner=planners.direct(), aggregator=enough, tools=[hang]).run("q")
    assert (result.output, result.tasks[0].outcome) == ("enough", "cancelled")
    assert ended.is_set()


async def test_no_tool_runs_after_the_last_turn() -> None:
    used = 0

    async def count() -> int:
        """Count."""
        nonlocal used
        used += 1
        return used

    agent = Agent(tools=[count], max_turns=2)
    mind = Contemplator(ScriptedModel(lambda _: calls(("count", {}))), mode="instant", agent=agent)
    with pytest.raises(AggregationError, match="capped"):
        await mind.run("q")
    assert used == 1, "what the last turn would find, nobody would read"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failed_task_keeps_what_was_said_last(stream: bool) -> None:
    mind = Contemplator(ScriptedModel(["no", "still no", "never"]), mode="instant", output_type=Point, stream=stream)
    with pytest.raises(AggregationError) as caught:
        await mind.run("q")
    assert caught.value.partial is not None
    (task,) = caught.value.partial.tasks
    assert (task.outcome, task.text, task.usage.calls) == ("failed", "never", 3)
    assert [each.text for each in task.messages if each.role == "assistant"] == ["no", "still no", "never"]


async def test_turns_after_tools_do_not_take_back_what_was_said_before() -> None:
    first = calls(("add", {"a": 1, "b": 1}))
    first = first.model_copy(update={"parts": Message.assistant("Let me see. ").parts})
    events: list[Event] = []
    mind = Contemplator(ScriptedModel([first, "Two."]), mode="instant", tools=[add], on_event=events.append)
    assert (await mind.run("q")).output == "Two."
    deltas = [event for event in events if isinstance(event, TaskDelta)]
    assert "".join(delta.text for delta in deltas) == "Let me see. Two."
    assert not any(delta.restart for delta in deltas)


async def test_settings_of_a_task_go_over_those_of_the_agent() -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="", settings=ModelSettings(temperature=0), instructions="Be brief.")

    model = ScriptedModel("ok")
    agent = Agent(settings=ModelSettings(temperature=1, max_tokens=9), instructions="Be kind.")
    await Contemplator(model, planner=plan, aggregator=aggregators.first(), agent=agent).run("the question")
    (request,) = model.requests
    assert request.settings == ModelSettings(temperature=0, max_tokens=9)
    assert request.messages[-1].text.endswith("Be brief.")
    assert request.messages[0].text.endswith("Be kind."), "what all are told stands in what all share"
    assert "the question" in request.messages[0].text


async def test_images_reach_the_subagents_and_come_back() -> None:
    picture = ImagePart(url="http://127.0.0.1/a.png")
    model = ScriptedModel(lambda request: Message.assistant("", images=request.messages[-1].images))
    result = await Contemplator(model, mode="instant").run("draw it", images=[picture])
    assert result.images == result.tasks[0].images == (picture,)


@pytest.mark.parametrize(("turns", "repairs"), [(0, 1), (1, -1)])
def test_numbers_that_are_too_small(turns: int, repairs: int) -> None:
    with pytest.raises(ConfigurationError, match="the others at least 1"):
        Agent(max_turns=turns, max_repairs=repairs)
