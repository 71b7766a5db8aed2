"""The router: which way for which probe, and what each way costs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel

from contemplate import Contemplator, Limits, aggregators, answers, planners
from contemplate.errors import ConfigurationError, ModelServerError
from contemplate.models import ModelRequest
from contemplate.plan import Task
from contemplate.planners import Probe
from contemplate.planners.router import breadth, default_route
from contemplate.result import RunResult
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

LONG = [f"Answer: {word} is what matters most to the people who live there" for word in ("peace", "bread", "work")]


def plan_of(*needs: list[int]) -> str:
    return json.dumps({"tasks": [{"title": f"t{i}", "prompt": f"do {i}", "needs": n} for i, n in enumerate(needs)]})


async def run(
    replies: Iterable[str | Exception], *, plan: str | Exception = "none", limits: Limits | None = None, **more: object
) -> RunResult[str]:
    """Samples answer `replies`, in the order of their seeds."""
    said = list(replies)

    def script(request: ModelRequest) -> str | Exception:
        if request.output_schema is not None:
            return plan
        if "You write the final answer" in request.messages[0].text:
            return "merged"
        if "attempts at this very question" in request.messages[-1].text:
            return "refined"
        return said[request.settings.seed] if request.settings.seed is not None else "a part"

    mind = Contemplator(
        ScriptedModel(script),
        planner=planners.router(planners.model(), **more),  # type: ignore[arg-type]
        aggregator=aggregators.by_kind(candidates=aggregators.vote(stop=None), others=aggregators.synthesize()),
        limits=limits,
    )
    with anyio.fail_after(PATIENCE):
        return await mind.run("q")


async def test_a_unanimous_probe_is_the_answer() -> None:
    result = await run(["Answer: 4", "So, Answer: 4.0", "Answer: four? no.\nAnswer: 4"])
    assert (result.output, result.usage.calls, result.complete) == ("Answer: 4", 3, True)
    assert result.support == ("sample-1", "sample-2", "sample-3")


async def test_short_answers_that_differ_are_voted_on() -> None:
    result = await run(["Answer: 4", "Answer: 5", "Answer: 6"] + ["Answer: 5"] * 6)
    assert (result.output, result.usage.calls) == ("Answer: 5", 9)
    assert len(result.support) == 7


async def test_long_answers_are_decomposed_where_the_plan_is_broad() -> None:
    result = await run(LONG, plan=plan_of([], [], [1]))
    assert result.output == "merged"
    assert result.support == ("1", "2", "3")
    assert result.usage.calls == 3 + 1 + 3 + 1


@pytest.mark.parametrize("plan", [plan_of([], [1], [1, 2]), "no plan at all", ModelServerError("down", model="m")])
async def test_where_it_is_a_chain_or_none_the_probe_is_refined(plan: str | Exception) -> None:
    result = await run(LONG, plan=plan)
    assert (result.output, result.support) == ("refined", ("answer",))
    assert result.complete


async def test_a_route_of_ones_own() -> None:
    seen: list[Probe] = []

    def choose(probe: Probe) -> planners.Route:
        seen.append(probe)
        return "refine"

    result = await run(["Answer: 4"] * 2, choose=choose, probe=2, key=answers.math)
    assert result.output == "refined"
    assert seen[0].keys == ("4", "4")
    assert (seen[0].seconds_left, seen[0].calls_left, seen[0].typed) == (math.inf, math.inf, False)


async def test_when_calls_are_short_the_probe_is_all_there_is() -> None:
    result = await run(["Answer: 5", "Answer: 4", "Answer: 4"], limits=Limits(calls=4))
    assert (result.output, result.usage.calls, result.complete) == ("Answer: 4", 3, True)


async def test_failed_samples_agree_with_nobody() -> None:
    down = ModelServerError("down", model="m")
    result = await run([down, *["Answer: 4"] * 8])
    assert (result.output, len(result.tasks)) == ("Answer: 4", 9)


async def test_typed_answers_are_compared_by_value() -> None:
    class Place(BaseModel):
        name: str

    replies = iter(['{"name": "Rome"}', '{ "name":"Rome" }', '{"name": "Rome"}'])
    model = ScriptedModel(lambda _: next(replies))
    mind = Contemplator(
        model,
        planner=planners.router(planners.model()),
        aggregator=aggregators.by_kind(candidates=aggregators.vote(), others=aggregators.synthesize()),
        output_type=Place,
    )
    assert (await mind.run("q")).output == Place(name="Rome")
    assert len(model.requests) == 3


def probe(*keys: str | None, typed: bool = False, left: float = math.inf, calls: float = math.inf) -> Probe:
    return Probe(keys=keys, typed=typed, seconds=1.0, seconds_left=left, calls_left=calls)


@pytest.mark.parametrize(
    ("given", "route"),
    [
        (probe("a", "a"), "answer"),
        (probe("a", "b"), "vote"),
        (probe("a", None, None), "decompose"),
        (probe("a", "b", None), "vote"),
        (probe(None, None, None), "decompose"),
        (probe("a", "b", left=1.9), "answer"),
        (probe("a", "b", left=2.1), "vote"),
        (probe("a", "b", calls=0), "answer"),
        (probe("one two three four five six", "b"), "vote"),
        (probe("one two three four five six seven", "b"), "decompose"),
        (probe('{"a":"one two three four five six seven"}', "b", typed=True), "vote"),
    ],
)
def test_the_default_route(given: Probe, route: str) -> None:
    assert default_route(given) == route


@pytest.mark.parametrize(
    ("needs", "expected"),
    [((), 0.0), (((),), 1.0), (((), ("0",), ("1",)), 1.0), (((), (), ()), 3.0), (((), (), ("0", "1")), 1.5)],
)
def test_breadth_is_tasks_over_the_longest_chain(needs: tuple[tuple[str, ...], ...], expected: float) -> None:
    assert breadth([Task(id=str(i), prompt="", needs=each) for i, each in enumerate(needs)]) == expected


@pytest.mark.parametrize(("probe_size", "samples"), [(1, 9), (4, 3)])
def test_numbers_that_make_no_sense(probe_size: int, samples: int) -> None:
    with pytest.raises(ConfigurationError, match=f"probe={probe_size}, samples={samples}"):
        planners.router(planners.model(), probe=probe_size, samples=samples)


async def test_by_kind_keeps_a_share_if_one_of_the_two_needs_it() -> None:
    vote, merge = aggregators.vote(), aggregators.synthesize()
    assert aggregators.by_kind(candidates=vote, others=vote).model_calls == 0
    assert aggregators.by_kind(candidates=vote, others=merge).model_calls == 1


async def test_what_was_released_is_told_by_the_plan_so_that_it_can_be_concluded_again(tmp_path: Path) -> None:
    mind = Contemplator(
        ScriptedModel("Answer: 4"),
        planner=planners.router(planners.model()),
        aggregator=aggregators.by_kind(candidates=aggregators.vote(), others=aggregators.synthesize()),
        journal=f"sqlite:///{tmp_path}/runs.db",
    )
    first = await mind.run("q")
    assert [task.held for task in first.plan.tasks] == [False] * 3
    again = await mind.reaggregate(first.run_id)
    assert (again.output, again.support) == ("Answer: 4", first.support)
    replayed = await mind.replay(first.run_id)
    assert (replayed.output, replayed.usage.calls) == ("Answer: 4", 3)


async def test_a_nested_run_is_replayed(tmp_path: Path) -> None:
    model = ScriptedModel("Answer: 4")
    inner = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote(stop=None))
    mind = Contemplator(
        model,
        planner=planners.rounds(2, 1, 2),
        aggregator=aggregators.vote(stop=None),
        agent=inner,
        journal=f"sqlite:///{tmp_path}/runs.db",
    )
    first = await mind.run("q")
    replayed = await mind.replay(first.run_id)
    assert len(model.requests) == 8
    assert replayed.output == first.output
    assert [each.usage.calls for each in replayed.tasks] == [2] * 4
