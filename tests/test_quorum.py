"""Quorum: enough answers, the required ones among them, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contemplate import Contemplator, Limits, RunContext, RunResult, Task, aggregators, planners
from contemplate.errors import ConfigurationError, QuorumNotReached
from contemplate.models import ModelRequest
from contemplate.run.protocols import Aggregator
from contemplate.testing import ScriptedModel

from .still_clock import on_a_still_clock, outlast

pytestmark = pytest.mark.anyio


async def named(*names: str) -> AsyncIterator[Task]:
    for name in names:
        yield Task(id=name, prompt=name, kind="candidate")


def answering(*, hang: frozenset[str] = frozenset(), fail: frozenset[str] = frozenset()) -> ScriptedModel:
    async def script(request: ModelRequest) -> str | Exception:
        name = request.messages[-1].text
        if name in hang:
            await outlast()
        return RuntimeError(f"{name} is down") if name in fail else f"Answer: {name}"

    return ScriptedModel(script)


async def run(
    *names: str,
    inner: Aggregator | None = None,
    hang: str = "",
    fail: str = "",
    limits: Limits | None = None,
    **how: object,
) -> RunResult[str]:
    aggregator = aggregators.quorum(inner or aggregators.vote(stop=None), **how)  # type: ignore[arg-type]
    model = answering(hang=frozenset(hang), fail=frozenset(fail))
    mind = Contemplator(model, planner=lambda question, ctx: named(*names), aggregator=aggregator, limits=limits)
    return await mind.run("q")


async def test_enough() -> None:
    result = await run("a", "b", "c", "d", enough=2, hang="cd")
    # The last ones may not even have been planned.
    assert {task.id for task in result.tasks if task.answered} == {"a", "b"}
    assert {task.outcome for task in result.tasks[2:]} <= {"cancelled"}
    assert result.output == "Answer: a"
    assert [each.tasks for each in result.dissent] == [("b",)]


async def test_the_required_ones_are_waited_for() -> None:
    result = await run("a", "b", "c", enough=1, required=["c"], hang="b")
    assert {task.id: task.outcome for task in result.tasks} == {"a": "answered", "b": "cancelled", "c": "answered"}


async def test_required_alone() -> None:
    result = await run("a", "b", "c", required="b", hang="c")
    assert "b" in {task.id for task in result.tasks if task.answered}


async def test_a_required_one_that_fails_ends_the_run_at_once() -> None:
    with pytest.raises(QuorumNotReached, match="required task 'b': b is down") as raised:
        await run("a", "b", "c", required=["b"], hang="c", fail="b")
    assert raised.value.partial is not None
    outcomes = {task.id: task.outcome for task in raised.value.partial.tasks}
    assert outcomes["b"] == "failed"
    assert outcomes.get("c", "cancelled") == "cancelled"


async def test_too_few_can_still_come() -> None:
    with pytest.raises(QuorumNotReached, match="of 3 tasks were answered, but 3 are required"):
        await run("a", "b", "c", enough=3, hang="c", fail="b")


async def test_a_required_one_that_was_never_planned() -> None:
    with pytest.raises(QuorumNotReached, match="required task 'x' has no result"):
        await run("a", "b", required=["x"], hang="ab")


async def test_more_wanted_than_planned() -> None:
    with pytest.raises(QuorumNotReached, match="of 2 tasks were answered, but 3 are required"):
        await run("a", "b", enough=3)


@on_a_still_clock
async def test_the_deadline_comes_first() -> None:
    with pytest.raises(QuorumNotReached, match="1 of 2 tasks were answered, but 2 are required"):
        await run("a", "b", enough=2, hang="b", limits=Limits(seconds=30))


@on_a_still_clock
async def test_nothing_at_all_until_the_deadline() -> None:
    with pytest.raises(QuorumNotReached, match="0 of 2 tasks were answered"):
        await run("a", "b", enough=2, hang="ab", limits=Limits(seconds=30))


@on_a_still_clock
async def test_a_deadline_with_a_share_kept_for_the_inner_one() -> None:
    with pytest.raises(QuorumNotReached):
        await run("a", "b", enough=2, hang="b", inner=aggregators.synthesize(), limits=Limits(seconds=30))


@pytest.mark.parametrize("inner", [aggregators.first(), aggregators.synthesize(), aggregators.judge()])
async def test_it_goes_with_any_aggregator(inner: Aggregator) -> None:
    async def script(request: ModelRequest) -> str:
        said = "".join(message.text for message in request.messages)
        return '{"reason": "", "best": "1"}' if "Pick one" in said else "so"

    mind = Contemplator(
        ScriptedModel(script), planner=planners.sample(3), aggregator=aggregators.quorum(inner, enough=2)
    )
    assert (await mind.run("q")).output == "so"


async def test_a_function_of_ones_own() -> None:
    async def count(question: str, results: object, ctx: RunContext) -> str:
        return str([result.id async for result in results])  # type: ignore[attr-defined]

    assert (await run("a", "b", "c", inner=count, enough=2, hang="c")).output == "['a', 'b']"


def test_what_limits_need_to_know() -> None:
    assert aggregators.quorum(aggregators.vote(), enough=1).model_calls == 0
    assert aggregators.quorum(aggregators.synthesize(), enough=1).model_calls == 1

    async def own(question: str, results: object, ctx: RunContext) -> str:
        return ""

    assert not hasattr(aggregators.quorum(own, enough=1), "model_calls")


@pytest.mark.parametrize("enough", [None, 0])
def test_settings_out_of_range(enough: int | None) -> None:
    with pytest.raises(ConfigurationError):
        aggregators.quorum(aggregators.first(), enough=enough)
