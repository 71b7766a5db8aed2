"""Cancelled from outside, at every step that a run takes: nothing is left running, and nothing paid for is lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from contemplate import Contemplator, Limits, Message, Task, aggregators, planners
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

from .patience import PATIENCE
from .support import MAX_STEPS, Watched, cancelled_after, running, steps

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leftovers")]

PLAN = json.dumps(
    {
        "tasks": [
            {"title": f"T{i}", "prompt": f"Do {i}.", "needs": needs} for i, needs in enumerate([[], [], [1, 2], [3]])
        ]
    }
)


class Point(BaseModel):
    x: int


@dataclass
class Tally:
    """How many are at work inside something that must end."""

    running: int = 0

    async def __aenter__(self) -> None:
        self.running += 1

    async def __aexit__(self, *_: object) -> None:
        self.running -= 1


@dataclass
class Scenario:
    """A kind of run."""

    script: Callable[[ModelRequest], str | Message]
    planner: Planner
    aggregator: aggregators.Aggregator
    limits: Limits = Limits()
    more: dict[str, Any] | None = None


def planned(request: ModelRequest) -> str:
    return PLAN if request.output_schema is not None else "a part of the answer, in several pieces"


def with_tools(request: ModelRequest) -> str | Message:
    if not request.tools or request.messages[-1].role == "tool":
        return "done"
    return Message.assistant("", tuple(ToolCall(id=str(i), name="slow", arguments='{"n": 3}') for i in range(3)))


def wrong_at_first(request: ModelRequest) -> str:
    return '{"x": 1}' if len(request.messages) > 2 else "well, it is one"


async def slow(n: int) -> int:
    """Be slow."""
    await steps(n)
    return n


SCENARIOS: dict[str, Scenario] = {
    "plan": Scenario(planned, planners.model(), aggregators.synthesize()),
    "vote": Scenario(lambda _: "Answer: 4", planners.sample(7), aggregators.vote()),
    "first": Scenario(lambda _: "Four.", planners.direct(), aggregators.first()),
    "tools": Scenario(with_tools, planners.sample(3), aggregators.synthesize(), more={"tools": [slow]}),
    "typed": Scenario(wrong_at_first, planners.sample(3), aggregators.synthesize(), more={"output_type": Point}),
    "slots": Scenario(planned, planners.model(), aggregators.synthesize(), Limits(concurrency=1)),
    "tokens": Scenario(
        lambda _: "Answer: 4", planners.sample(9), aggregators.vote(stop=None), Limits(total_tokens=600, calls=12)
    ),
    "time": Scenario(planned, planners.model(), aggregators.synthesize(), Limits(seconds=1000)),
}


def mind_of(scenario: Scenario, watched: Watched, tally: Tally) -> Contemplator[Any]:
    async def script(request: ModelRequest) -> str | Message:
        async with tally:
            await steps(2)
            return scenario.script(request)

    return Contemplator(
        ScriptedModel(script),
        planner=watched.planner(scenario.planner),
        aggregator=scenario.aggregator,
        limits=scenario.limits,
        on_event=watched,
        **(scenario.more or {}),
    )


async def streamed(mind: Contemplator[Any]) -> None:
    async with mind.stream("q") as run:
        async for _ in run:
            pass


def paid_and_kept(watched: Watched) -> None:
    """What a subagent's calls were answered stands in its result: as its text, or as an earlier turn."""
    paid = Counter(event.name.task for event in watched.calls("subagent") if event.finish is not None)
    kept = {result.id: sum(each.role == "assistant" for each in result.messages) for result in watched.finished}
    assert all(kept[task] >= turns for task, turns in paid.items() if task is not None)
    answered = {event.name.task for event in watched.calls("subagent") if event.finish == "stop"}
    assert all(result.id in answered for result in watched.finished if result.answered)


# Each on both event loops and in both ways, and half of them the other way round.
EACH = [
    (name, *way)
    for number, name in enumerate(SCENARIOS)
    for way in zip(("asyncio", "trio"), ("run", "stream") if number % 2 else ("stream", "run"), strict=True)
]


@pytest.mark.parametrize(("name", "anyio_backend", "how"), EACH)
async def test_at_any_step(name: str, how: str) -> None:
    before = running()
    for count in range(MAX_STEPS):
        watched, tally = Watched(), Tally()
        mind = mind_of(SCENARIOS[name], watched, tally)
        over = await cancelled_after(count, lambda: mind.run("q") if how == "run" else streamed(mind))  # noqa: B023
        assert running() == before
        assert tally.running == 0
        watched.check()
        paid_and_kept(watched)
        if over:
            assert watched.events[-1].kind == "run_finished"
            return
    pytest.fail("the run has no end")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", ["plan", "tools", "slots"])
async def test_by_asyncio_itself(name: str) -> None:
    """As `asyncio.wait_for`, `asyncio.timeout` and a web framework do it: with `Task.cancel`."""
    before = running()
    for count in range(MAX_STEPS):
        watched, tally = Watched(), Tally()
        run = asyncio.create_task(mind_of(SCENARIOS[name], watched, tally).run("q"))
        await steps(count)
        over = run.done()
        run.cancel()
        if over:
            assert run.result().complete
            return
        with pytest.raises(asyncio.CancelledError):
            await run
        assert running() == before
        assert tally.running == 0
        watched.check()
    pytest.fail("the run has no end")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_is_not_the_runs() -> None:
    """What an agent waits for may be cancelled by its owner; that is the agent's failure, and nobody else's."""

    async def agent(task: Task, ctx: object) -> Any:
        never = asyncio.get_running_loop().create_future()
        never.cancel()
        await never

    async def plan(question: str, ctx: object) -> Any:
        yield Task(id="a", prompt="")
        yield Task(id="b", prompt="", needs=("a",))

    async def collect(question: str, results: Any, ctx: object) -> str:
        return " ".join([f"{each.id}: {each.outcome}" async for each in results])

    mind = Contemplator(ScriptedModel(""), planner=plan, agent=agent, aggregator=collect)
    with anyio.fail_after(PATIENCE):
        assert (await mind.run("q")).output == "a: failed b: failed"


async def test_many_runs_at_once_and_only_some_cancelled() -> None:
    """Runs that share a model do not feel each other's end."""
    tally = Tally()
    answers: list[str] = []

    async def one(number: int) -> None:
        watched = Watched()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def run() -> None:
                    answers.append((await mind_of(SCENARIOS["plan"], watched, tally).run("q")).output)
                    group.cancel_scope.cancel()

                group.start_soon(run)
                if number % 2:
                    await steps(number)
                    scope.cancel()
        watched.check()

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(one, number)
    assert len(answers) >= 15
    assert tally.running == 0
