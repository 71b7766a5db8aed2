"""One seed, from which all else is derived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, Message, ModelSettings, RunContext, Task, Tool, aggregators, planners
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.run.protocols import Aggregator, Planner
from contemplate.settings import derived_seed
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio


def tasks(*planned: Task) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for each in planned:
            yield each

    return plan


SEEDED: dict[str, tuple[Callable[..., Planner], Aggregator]] = {
    "sample": (lambda **how: planners.sample(4, **how), aggregators.judge(both_orders=True)),
    "rounds": (lambda **how: planners.rounds(n=4, k=2, rounds=2, **how), aggregators.synthesize()),
    "router": (lambda **how: planners.router(planners.model(), probe=2, samples=4, **how), aggregators.vote(stop=None)),
}
each_planner = pytest.mark.parametrize("name", SEEDED)


def reply(request: ModelRequest) -> str:
    if request.output_schema is not None:
        return '{"reason": "so", "best": "1"}'
    return f"I think of {len(request.messages[-1].text)}. Answer: {(request.settings.seed or 0) % 7}"


def asked(model: ScriptedModel) -> list[tuple[str, ...]]:
    return sorted((repr(each.settings), *(message.text for message in each.messages)) for each in model.requests)


def seeds(model: ScriptedModel) -> list[int]:
    return [each.settings.seed for each in model.requests if each.settings.seed is not None]


async def run(name: str, *, of_planner: Any = None, **how: Any) -> ScriptedModel:
    model = ScriptedModel(reply)
    make, aggregator = SEEDED[name]
    await Contemplator(model, planner=make(**(of_planner or {})), aggregator=aggregator, **how).run("q")
    return model


@each_planner
@pytest.mark.parametrize("seed", [None, 0, 5])
async def test_the_same_seed_asks_the_same(name: str, seed: int | None) -> None:
    assert asked(await run(name, seed=seed)) == asked(await run(name, seed=seed))


@each_planner
async def test_replicas_have_no_seed_in_common(name: str) -> None:
    drawn = [seeds(await run(name, seed=seed)) for seed in range(5)]
    drawn += [seeds(await run(name, of_planner={"seed": seed})) for seed in range(5, 10)]
    assert len({seed for each in drawn for seed in each}) == sum(map(len, drawn))


@each_planner
async def test_a_seed_is_given_in_any_of_these_places(name: str) -> None:
    settings = ModelSettings(seed=100)
    given = [
        await run(name, seed=100),
        await run(name, of_planner={"seed": 100}),
        await run(name, of_planner={"settings": settings}),
        await run(name, settings=settings),
    ]
    assert len({tuple(sorted(seeds(each))) for each in given}) == 1
    assert seeds(given[0]) != seeds(await run(name))


async def test_samples_of_different_tasks_have_different_seeds() -> None:
    model = ScriptedModel(reply)
    planned = tasks(Task(id="a", prompt="a", samples=3), Task(id="b", prompt="b", samples=3))
    await Contemplator(model, planner=planned, aggregator=aggregators.synthesize(), seed=1).run("q")
    assert len(set(seeds(model))) == len(seeds(model)) == 6


async def test_a_contemplator_within_takes_the_seed() -> None:
    drawn = []
    for _ in range(2):
        model = ScriptedModel(reply)
        inner = Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote(stop=None))
        mind = Contemplator(model, planner=planners.sample(2), agent=inner, aggregator=aggregators.first(), seed=3)
        await mind.run("q")
        drawn.append({derived_seed(3, path, i) for path in ("sample-1", "sample-2") for i in range(3)})
        assert set(seeds(model)) <= drawn[-1]
        assert seeds(model)
    assert drawn[0] == drawn[1]


@given(st.lists(st.tuples(st.integers(), st.sampled_from(["", "a", "a/b"]), st.integers(0, 99)), unique=True))
def test_derived_seeds_differ(what: list[tuple[int, str, int]]) -> None:
    derived = [derived_seed(*each) for each in what]
    assert len(set(derived)) == len(derived)
    assert all(0 <= each < 2**31 for each in derived)


async def test_all_settings_reach_every_role() -> None:
    model = ScriptedModel(reply)
    mind = Contemplator(
        model,
        planner=planners.sample(2, settings=ModelSettings(max_tokens=50)),
        aggregator=aggregators.judge(),
        settings=ModelSettings(top_p=0.9),
        all_settings=ModelSettings(temperature=0.25, max_tokens=900),
    )
    await mind.run("q")
    assert {each.settings.temperature for each in model.requests} == {0.25}
    *of_samples, of_judge = sorted(model.requests, key=lambda each: each.output_schema is not None)
    assert {(each.settings.max_tokens, each.settings.top_p) for each in of_samples} == {(50, 0.9)}
    assert (of_judge.settings.max_tokens, of_judge.settings.top_p) == (900, None)


async def test_all_settings_reach_the_samples_of_a_task_and_runs_within() -> None:
    model = ScriptedModel(reply)
    inner = Contemplator(model, mode="instant")
    planned = tasks(Task(id="a", prompt="a", samples=3))
    for agent in (None, inner):
        mind = Contemplator(
            model,
            planner=planned,
            agent=agent,
            aggregator=aggregators.first(),
            all_settings=ModelSettings(temperature=0.25),
        )
        await mind.run("q")
    assert {each.settings.temperature for each in model.requests} == {0.25}


def with_a_run_in_a_tool(
    model: ScriptedModel, inner: Contemplator[str], *, sync: bool, **how: Any
) -> Contemplator[str]:
    async def look(what: str) -> str:
        return (await inner.run(what)).text

    def look_sync(what: str) -> str:
        return inner.run_sync(what).text

    function = Tool(look_sync if sync else look, name="look")
    planned = tasks(Task(id="a", prompt="a"), Task(id="b", prompt="b"))
    return Contemplator(model, planner=planned, aggregator=aggregators.synthesize(), tools=[function], **how)


def looking(request: ModelRequest) -> Message | str:
    if request.tools and request.messages[-1].role != "tool":
        call = ToolCall(id="c", name="look", arguments='{"what": "how many?"}')
        return Message(role="assistant", tool_calls=(call, call))
    return reply(request)


@pytest.mark.parametrize("sync", [False, True])
async def test_a_run_within_a_tool_derives_its_seeds_from_the_outer_one(sync: bool) -> None:
    drawn = []
    for seed in (1, 1, 2):
        model = ScriptedModel(reply)
        inner = Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote(stop=None))
        await with_a_run_in_a_tool(ScriptedModel(looking), inner, sync=sync, seed=seed).run("q")
        assert len(seeds(model)) == len(set(seeds(model))) == 12, "two tasks use the tool twice"
        drawn.append(sorted(seeds(model)))
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])


@pytest.mark.parametrize("seed", [None, 7])
async def test_a_run_with_a_journal_of_its_own_is_replayed_wherever_it_was_made(seed: int | None) -> None:
    journal = Journal()
    inner = Contemplator(
        ScriptedModel(reply),
        planner=planners.rounds(n=3, k=2, rounds=2),
        aggregator=aggregators.vote(stop=None),
        journal=journal,
        seed=seed,
    )
    await with_a_run_in_a_tool(ScriptedModel(looking), inner, sync=False, seed=1).run("q")
    made = journal.runs()
    assert len(made) == 4
    for each in made:
        await inner.replay(each.run_id)
