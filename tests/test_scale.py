"""Many tasks, deep graphs, deep nesting, and functions that end early or late: what must hold holds."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from contemplate import (
    Answer,
    Contemplator,
    Limits,
    RunContext,
    RunResult,
    Task,
    TaskContext,
    TaskResult,
    aggregators,
    planners,
)
from contemplate.errors import AggregationError
from contemplate.models import ModelRequest
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

from .support import Watched, running, steps

pytestmark = pytest.mark.anyio


def plan_of(planned: list[Task]) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for task in planned:
            yield task

    return plan


def independent(count: int) -> Planner:
    return plan_of([Task(id=str(i), prompt=f"task {i}") for i in range(count)])


class Collected:
    """An aggregator that keeps what it was given."""

    model_calls = 0

    def __init__(self) -> None:
        self.seen: list[TaskResult] = []

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        self.seen = [result async for result in results]
        return f"{len(self.seen)} results"


def check_each_has_one_result(result: RunResult[str], given: Collected, events: Watched, count: int) -> None:
    ids = [each.id for each in result.plan.tasks]
    assert len(set(ids)) == len(ids) == count
    assert [each.id for each in result.tasks] == ids
    assert [each.index for each in result.tasks] == list(range(count))
    assert sorted(each.id for each in given.seen) == sorted(events.started) == sorted(ids)
    events.check()


@pytest.mark.parametrize(("anyio_backend", "seed"), [("asyncio", 0), ("trio", 1), ("asyncio", 2), ("trio", 3)])
async def test_a_random_graph_of_300_tasks_of_which_some_fail(seed: int) -> None:
    rng = random.Random(seed)
    planned = [
        Task(id=str(i), prompt="", needs=tuple(map(str, sorted(rng.sample(range(i), min(i, rng.randrange(4)))))))
        for i in range(300)
    ]
    broken = {task.id for task in planned if rng.random() < 0.1}
    pauses = {task.id: rng.randrange(6) for task in planned}
    log: list[tuple[str, str]] = []

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        log.append(("began", task.id))
        assert tuple(each.id for each in ctx.inputs) == task.needs
        assert {each.id for each in ctx.inputs if each.outcome == "failed"} == broken.intersection(task.needs)
        await steps(pauses[task.id])
        log.append(("ended", task.id))
        if task.id in broken:
            raise ValueError(f"{task.id} is broken")
        return Answer(task.id)

    before, events, given = running(), Watched(), Collected()
    planner = events.planner(plan_of(planned))
    mind = Contemplator(ScriptedModel(""), planner=planner, agent=agent, aggregator=given, on_event=events)
    result = await mind.run("q")
    check_each_has_one_result(result, given, events, 300)
    place = {each: order for order, each in enumerate(log)}
    edges = [(need, task.id) for task in planned for need in task.needs]
    assert len(edges) > 300
    assert all(place["ended", need] < place["began", task] for need, task in edges)
    assert set(result.missing) == broken
    assert running() == before


async def test_a_thousand_tasks_in_a_plan_of_ones_own() -> None:
    model = ScriptedModel(lambda request: request.messages[-1].text)
    before, events, given = running(), Watched(), Collected()
    planner = events.planner(independent(1000))
    result = await Contemplator(model, planner=planner, aggregator=given, on_event=events).run("q")
    check_each_has_one_result(result, given, events, 1000)
    assert all(each.answered and f"task {each.id}" in each.text for each in result.tasks)
    assert result.usage.calls == len(model.requests) == 1000
    assert running() == before


async def test_a_thousand_tasks_in_a_plan_that_a_model_writes() -> None:
    written = json.dumps(
        {"tasks": [{"title": "", "prompt": f"task {i}", "needs": [i] if i % 2 else []} for i in range(1000)]}
    )
    model = ScriptedModel(lambda request: "done" if request.output_schema is None else written, chunk=1000)
    before, events, given = running(), Watched(), Collected()
    planner = events.planner(planners.model(max_tasks=1000))
    result = await Contemplator(model, planner=planner, aggregator=given, on_event=events).run("q")
    check_each_has_one_result(result, given, events, 1000)
    assert result.notes == ()
    assert result.usage.calls == len(model.requests) == 1001
    assert len(events.calls("planner")) == 1
    place = {each.id: order for order, each in enumerate(given.seen)}
    assert all(place[need] < place[each.id] for each in result.tasks for need in each.task.needs)
    assert running() == before


async def test_a_thousand_tasks_of_which_some_fail_cost_what_they_cost() -> None:
    def reply(request: ModelRequest) -> str | Exception:
        number = int(request.messages[-1].text.rsplit("task ", 1)[1].split()[0])
        return RuntimeError(f"{number} is down") if number % 3 == 0 else f"{number} is up"

    model = ScriptedModel(reply)
    before, events, given = running(), Watched(), Collected()
    planner = events.planner(independent(1000))
    result = await Contemplator(model, planner=planner, aggregator=given, on_event=events).run("q")
    check_each_has_one_result(result, given, events, 1000)
    assert Counter(each.outcome for each in result.tasks) == {"answered": 666, "failed": 334}
    for number, each in enumerate(result.tasks):
        said = each.text if each.error is None else each.error.message
        assert said == f"{number} is {'down' if number % 3 == 0 else 'up'}"
        assert each.usage.calls == 1
    assert result.missing == tuple(str(number) for number in range(0, 1000, 3))
    assert result.usage.calls == len(model.requests) == 1000
    assert running() == before


class Endless:
    """A planner without an end, which says whether it was closed, and how far it had come."""

    def __init__(self) -> None:
        self.yielded = 0
        self.closed = 0

    async def __call__(self, question: str, ctx: RunContext) -> AsyncIterator[Task]:
        try:
            while True:
                yield Task(id=str(self.yielded), prompt="")
                self.yielded += 1
        finally:
            self.closed += 1


@pytest.mark.parametrize("wanted", [0, 1, 300])
async def test_a_planner_that_goes_on_is_closed_when_the_aggregator_returns(wanted: int) -> None:
    async def takes(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        seen = 0
        while seen < wanted:
            seen += (await anext(results)).answered
        return f"{seen} are enough"

    model, endless = ScriptedModel("answer"), Endless()
    before, events = running(), Watched()
    planner = events.planner(endless)
    result = await Contemplator(model, planner=planner, aggregator=takes, on_event=events).run("q")
    assert (result.output, result.complete) == (f"{wanted} are enough", True)
    yielded = endless.yielded
    await steps(20)
    assert (endless.closed, endless.yielded) == (1, yielded)
    assert wanted <= len(events.started) <= len(result.plan.tasks) <= yielded + 1
    assert result.usage.calls == sum(each.usage.calls for each in result.tasks)
    assert running() == before
    events.check()


async def test_an_aggregator_that_returns_before_the_first_task() -> None:
    async def at_once(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        assert not ctx.planned
        return "no need"

    async def slow(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        await steps(100)
        yield Task(id="too late", prompt="")

    model = ScriptedModel("never asked")
    before = running()
    result = await Contemplator(model, planner=slow, aggregator=at_once).run("q")
    assert (result.output, result.complete, result.tasks, result.usage.calls) == ("no need", True, (), 0)
    assert model.requests == []
    assert running() == before


def eight_deep(model: ScriptedModel, limits: Limits) -> Contemplator:
    """Eight contemplators within each other, each of which asks twice: 256 calls."""
    mind = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote(stop=None))
    for _ in range(7):
        mind = Contemplator(
            model, planner=planners.sample(2), aggregator=aggregators.vote(stop=None), agent=mind, limits=limits
        )
    return mind


@pytest.mark.parametrize(
    ("anyio_backend", "calls"), [("asyncio", 2), ("trio", 170), ("asyncio", 255), ("trio", 255), ("asyncio", 256)]
)
async def test_a_budget_is_exact_through_eight_levels(calls: int) -> None:
    model = ScriptedModel("Answer: 1")
    before = running()
    result = await eight_deep(model, Limits(calls=calls)).run("q")
    made = min(calls, 256)
    assert result.output == "Answer: 1"
    assert result.usage.calls == len(model.requests) == made
    assert sum(each.usage.calls for each in result.tasks) == made
    assert result.stopped_by == ("calls" if calls < 256 else None)
    assert result.complete == (calls >= 256)
    assert running() == before


async def test_what_was_paid_for_ten_levels_down_is_kept_when_there_is_no_conclusion() -> None:
    model = ScriptedModel("This is nothing that a vote can count")
    mind = Contemplator(model, mode="instant")
    for _ in range(8):
        mind = Contemplator(model, planner=planners.direct(), aggregator=aggregators.first(), agent=mind)
    never = aggregators.vote(key=lambda _: None)
    mind = Contemplator(model, planner=planners.sample(3), aggregator=never, agent=mind)
    before = running()
    with pytest.raises(AggregationError, match="could be parsed") as caught:
        await mind.run("q")
    partial = caught.value.partial
    assert partial is not None
    assert [each.usage.calls for each in partial.tasks] == [1, 1, 1]
    assert all(each.text.startswith("This is") for each in partial.tasks)
    assert partial.usage.calls == len(model.requests) == 3
    assert running() == before
