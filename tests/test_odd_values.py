"""What users' functions return that they should not: only their part ends, and what was reached is in `partial`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from contemplate import (
    Answer,
    Conclusion,
    Contemplator,
    Message,
    RunContext,
    Task,
    TaskContext,
    TaskResult,
    aggregators,
    planners,
)
from contemplate.errors import AggregationError, ContemplateError, PlanError
from contemplate.messages import ToolCall
from contemplate.run.protocols import Answer as AnswerType
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unshown:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def odd_answer(**fields: Any) -> AnswerType:
    return Answer(**{"text": "x", **fields})


ODD_ANSWERS: list[Any] = [
    None,
    5,
    "text",
    Unshown(),
    odd_answer(text=None),
    odd_answer(outcome="nonsense"),
    odd_answer(images=5),
    odd_answer(images=("a.png",)),
    odd_answer(support=5),
    odd_answer(support=(1,)),
    odd_answer(dissent=("x",)),
    odd_answer(complete="perhaps"),
]


@pytest.mark.parametrize("odd", ODD_ANSWERS, ids=lambda odd: type(odd).__name__)
async def test_an_agent(odd: Any) -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return odd if task.id == "sample-1" else Answer("fine")

    mind = Contemplator(ScriptedModel("unused"), planner=planners.sample(3), agent=agent, aggregator=aggregators.vote())
    result = await mind.run("q")
    assert result.output == "fine"
    assert [each.outcome for each in result.tasks] == ["failed", "answered", "answered"]
    assert result.tasks[0].error is not None
    assert "the agent returned" in result.tasks[0].error.message


async def test_an_agents_value_of_any_type_is_kept() -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return Answer("x", output=Decimal(1))

    mind = Contemplator(ScriptedModel("unused"), mode="instant", agent=agent, journal="memory:")
    result = await mind.run("q")
    assert (result.output, result.tasks[0].output) == ("x", Decimal(1))
    assert result.model_dump_json()


async def test_an_agent_that_keeps_no_messages() -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        ctx.keep(["no message"])  # type: ignore[list-item]
        return Answer("x")

    with pytest.raises(AggregationError, match="keep messages") as caught:
        await Contemplator(ScriptedModel("unused"), mode="instant", agent=agent).run("q")
    assert caught.value.partial is not None


async def test_an_agent_whose_error_has_no_words() -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        raise Rude

    with pytest.raises(AggregationError, match="Rude: it has no message") as caught:
        await Contemplator(ScriptedModel("unused"), mode="instant", agent=agent).run("q")
    assert caught.value.partial is not None


ODD_CONCLUSIONS: list[Any] = [
    None,
    5,
    Unshown(),
    Answer("x"),
    Conclusion.model_construct(text=5),
    Conclusion.model_construct(text=None),
    Conclusion(text="x").model_copy(update={"support": 5}),
    Conclusion(text="x").model_copy(update={"complete": "perhaps"}),
    Conclusion(text="x").model_copy(update={"images": ("a.png",)}),
]


@pytest.mark.parametrize("offered", [False, True])
@pytest.mark.parametrize("odd", ODD_CONCLUSIONS, ids=lambda odd: type(odd).__name__)
async def test_an_aggregator(odd: Any, offered: bool) -> None:
    async def aggregator(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Any:
        if offered:
            ctx.offer(lambda: odd)
        _ = [each async for each in results]
        return odd

    mind = Contemplator(ScriptedModel("fine"), planner=planners.sample(2), aggregator=aggregator)
    with pytest.raises(AggregationError, match="the aggregator returned") as caught:
        await mind.run("q")
    assert caught.value.partial is not None
    assert [each.text for each in caught.value.partial.tasks] == ["fine", "fine"]


ODD_TASKS: list[Any] = [
    None,
    5,
    "a",
    Unshown(),
    Task.model_construct(id=5, prompt="x"),
    Task.model_construct(id="a", prompt=None),
    Task(id="a", prompt="x").model_copy(update={"samples": "three"}),
    Task(id="a", prompt="x").model_copy(update={"needs": 5}),
    Task(id="a", prompt="x").model_copy(update={"kind": "nonsense"}),
]


@pytest.mark.parametrize("odd", ODD_TASKS, ids=lambda odd: type(odd).__name__)
async def test_a_planner(odd: Any) -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="first", prompt="x")
        await ctx.finished("first")
        yield odd

    mind = Contemplator(ScriptedModel("fine"), planner=plan, aggregator=aggregators.synthesize())
    with pytest.raises(PlanError, match="the planner yielded") as caught:
        await mind.run("q")
    assert caught.value.partial is not None
    assert [each.text for each in caught.value.partial.tasks] == ["fine"]


@pytest.mark.parametrize("odd", [object(), {1: object()}, 5, float("nan"), b"\xff", (None, b"\xff"), Unshown(), [[]]])
async def test_a_tool(odd: Any) -> None:
    async def give() -> Any:
        """Give."""
        return odd

    call = Message.assistant("", (ToolCall(id="1", name="give", arguments="{}"),))
    result = await Contemplator(ScriptedModel([call, "fine"]), mode="instant", tools=[give]).run("q")
    assert result.output == "fine"


@pytest.mark.parametrize("odd", [5, None, "x", Unshown(), -1.0])
async def test_weights(odd: Any) -> None:
    class Odd:
        def weigh(self, answer: Any, result: TaskResult) -> Any:
            return odd

        def heaviest(self, model: str | None) -> float:
            return 1.0

    mind = Contemplator(
        ScriptedModel("fine"), planner=planners.sample(3), aggregator=aggregators.vote(weights=Odd(), stop=None)
    )
    with pytest.raises(AggregationError) as caught:
        await mind.run("q")
    assert caught.value.partial is not None
    assert len(caught.value.partial.tasks) == 3 or caught.value.partial.missing


async def test_a_heaviest_weight_that_is_found_wrong_while_planning() -> None:
    class Odd:
        def weigh(self, answer: Any, result: TaskResult) -> float:
            return 1.0

        def heaviest(self, model: str | None) -> float:
            raise KeyError("model")

    mind = Contemplator(ScriptedModel("fine"), planner=planners.sample(3), aggregator=aggregators.vote(weights=Odd()))
    with pytest.raises(ContemplateError, match="KeyError") as caught:
        await mind.run("q")
    assert caught.value.partial is not None


@pytest.mark.parametrize("odd", [object(), {1}, [{}], 5, {"a": {1}}])
async def test_a_key_of_any_type_counts(odd: Any) -> None:
    mind = Contemplator(
        ScriptedModel("fine"), planner=planners.sample(3), aggregator=aggregators.vote(key=lambda text: odd)
    )
    assert (await mind.run("q")).output == "fine"


async def test_a_key_that_raises_keeps_what_was_answered() -> None:
    def key(text: str) -> str:
        raise Rude

    mind = Contemplator(ScriptedModel("fine"), planner=planners.sample(3), aggregator=aggregators.vote(key=key))
    with pytest.raises(AggregationError) as caught:
        await mind.run("q")
    assert caught.value.partial is not None
    assert caught.value.partial.tasks


@pytest.mark.parametrize("odd", [None, 5, object(), Unshown()])
async def test_a_check(odd: Any) -> None:
    mind = Contemplator(
        ScriptedModel("fine"), planner=planners.sample(2), aggregator=aggregators.check(lambda result: odd)
    )
    with pytest.raises(ContemplateError) as caught:
        await mind.run("q")
    assert caught.value.partial is not None
    assert caught.value.partial.tasks
