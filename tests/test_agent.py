"""One subagent: tools, typed output, repair, caps, and what it is shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anyio
import pytest
from pydantic import BaseModel

from contemplate import (
    Agent,
    Contemplator,
    Message,
    RunContext,
    Task,
    TaskResult,
    Tool,
    aggregators,
    planners,
    tool,
)
from contemplate.errors import AggregationError, ConfigurationError, ToolError
from contemplate.events import Event, TaskFinished, ToolFinished
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
    assert roles[2:] == [("assistant", ""), ("tool", "5"), ("assistant", "It is 5.")]
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
    assert result.tasks[0].output == {"x": 1, "y": 2}


async def test_the_model_is_told_what_was_wrong_with_its_output() -> None:
    model = ScriptedModel(['{"x": "far"}', "no idea", 'Here: ```json\n{"x": 7}\n```'])
    result = await Contemplator(model, mode="instant", output_type=Point).run("where?")
    assert result.output == Point(x=7)
    assert "x: Input should be a valid integer" in model.requests[1].messages[-1].text
    assert result.usage.calls == 3


async def test_repairs_end() -> None:
    with pytest.raises(AggregationError, match="no Point: .* after 1 repairs"):
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
