"""Try, try another way, decompose: each only where it is needed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import (
    Answer,
    Contemplator,
    Limits,
    RunContext,
    Task,
    TaskContext,
    TaskResult,
    Usage,
    aggregators,
    planners,
    strategies,
)
from contemplate.errors import ConfigurationError, ModelServerError
from contemplate.messages import Message
from contemplate.models import ModelRequest, ModelResponse
from contemplate.result import RunResult
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

Reply = str | ModelResponse | Exception
Check = Callable[[TaskResult], bool | str | Awaitable[bool | str]]


def parts(*names: str, chain: bool = False) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for place, name in enumerate(names):
            needs = (names[place - 1],) if chain and place else ()
            yield Task(id=name, prompt=f"{question}/{name}", needs=needs, title=name)

    return plan


async def run(
    script: Callable[[str], Reply], planner: Planner, *, limits: Limits | None = None
) -> tuple[RunResult[str], list[str]]:
    """The run, and its subagents' prompts; `script` is given each of them. The merging call says "merged"."""
    asked: list[str] = []

    def reply(request: ModelRequest) -> Reply:
        if "You write the final answer" in request.messages[0].text:
            return "merged"
        asked.append(request.messages[-1].text)
        return script(asked[-1])

    mind = Contemplator(ScriptedModel(reply), planner=planner, aggregator=aggregators.synthesize(), limits=limits)
    with anyio.fail_after(PATIENCE):
        return await mind.run("the question"), asked


async def test_what_succeeds_at_once_is_one_call() -> None:
    result, asked = await run(lambda _: "fine", planners.as_needed(parts("a", "b")))
    assert (result.text, result.usage.calls, len(asked)) == ("fine", 1, 1)
    assert result.complete
    assert "UNSOLVED" in asked[0]


@pytest.mark.parametrize("failure", [ModelServerError("down", model="m"), "**UNSOLVED**: no idea", "UNSOLVED"])
async def test_a_failure_brings_the_next_strategy_which_is_told_why(failure: Reply) -> None:
    left = [failure, failure, "fine"]
    planner = planners.as_needed(parts("a", "b"), strategies=[strategies.analogy, "Draw a table."])
    result, asked = await run(lambda _: left.pop(0), planner)
    assert (result.text, result.usage.calls) == ("fine", 3)
    assert strategies.analogy in asked[1]
    assert "Draw a table." in asked[2]
    assert (failure if isinstance(failure, str) else "down") in asked[1]
    assert [each.id for each in result.tasks] == ["try-1", "try-2", "try-3"]
    assert result.support == ("try-3",)


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("complaint", [False, "", "it is not even"])
async def test_a_checker_sends_its_words_to_the_next_attempt(is_async: bool, complaint: bool | str) -> None:
    def check(result: TaskResult) -> bool | str:
        return True if result.text == "4" else complaint

    async def check_later(result: TaskResult) -> bool | str:
        await anyio.lowlevel.checkpoint()
        return check(result)

    left = ["3", "4"]
    planner = planners.as_needed(parts("a", "b"), check=check_later if is_async else check)
    result, asked = await run(lambda _: left.pop(0), planner)
    assert result.text == "4"
    assert (str(complaint) if complaint else "It did not pass a check.") in asked[1]
    assert re.search(r"<<attempt \w+>>\n3\n<<end", asked[1])


@pytest.mark.parametrize("finish", ["length", "stop"])
async def test_what_was_cut_off_is_shown_to_the_next_attempt(finish: Literal["length", "stop"]) -> None:
    cut = ModelResponse(message=Message.assistant("so far"), finish=finish, usage=Usage(calls=1), model="m")
    left: list[Reply] = [cut, "fine"]
    result, asked = await run(lambda _: left.pop(0), planners.as_needed(parts("a", "b")))
    assert (result.text, len(asked)) == (("fine", 2) if finish == "length" else ("so far", 1))
    if finish == "length":
        assert "it was cut off.)\nso far" in asked[1]


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("solved", [(), ("a",)])
async def test_what_is_given_up_is_not_complete(depth: int, solved: tuple[str, ...]) -> None:
    def script(text: str) -> str:
        return "fine" if any(f"the question/{part}" in text for part in solved) else "UNSOLVED: too hard"

    result, _ = await run(script, planners.as_needed(parts("a", "b"), depth=depth))
    assert not result.complete
    assert any("was given up after 2 attempts" in note for note in result.notes)


async def test_then_it_is_decomposed_and_the_parts_are_merged() -> None:
    def script(text: str) -> str:
        return "UNSOLVED" if "the question/" not in text else f"done {text.split('the question/')[1][0]}"

    result, asked = await run(script, planners.as_needed(parts("a", "b")))
    assert result.text == "merged"
    assert result.support == ("try.a-1", "try.b-1")
    assert (len(asked), result.complete) == (4, True)


async def test_a_part_that_needs_another_is_shown_the_attempt_that_succeeded() -> None:
    seen: list[str] = []

    def script(text: str) -> str:
        if "the question/" not in text:
            return "UNSOLVED"
        seen.append(text)
        if "the question/a" in text:
            return "UNSOLVED" if len(seen) == 1 else "a is 7"
        return "b is 8"

    result, _ = await run(script, planners.as_needed(parts("a", "b", chain=True)))
    assert [each.id for each in result.tasks[2:]] == ["try.a-1", "try.a-2", "try.b-1"]
    assert "a is 7" in seen[-1]
    assert result.tasks[-1].task.needs == ("try.a-2",)


async def test_parts_are_decomposed_in_turn_to_the_depth_and_no_further() -> None:
    levels: list[int] = []

    def script(text: str) -> str:
        levels.append(text.count("/"))
        return "UNSOLVED: too hard" if "/b" not in text else "fine"

    planner = planners.as_needed(parts("a", "b"), strategies=(), depth=3)
    result, _ = await run(script, planner)
    assert max(levels) == 3
    assert result.support == ("try.b-1", "try.a.b-1", "try.a.a.a-1", "try.a.a.b-1")
    assert any("'a' was given up after 1 attempts" in note for note in result.notes)


async def test_if_nothing_is_said_parts_are_not_decomposed() -> None:
    result, _ = await run(lambda _: "UNSOLVED", planners.as_needed(parts("a", "b"), strategies=()))
    assert {each.id for each in result.tasks} == {"try-1", "try.a-1", "try.b-1"}


async def test_needs_across_levels_become_the_leaves() -> None:
    def script(text: str) -> str:
        return "fine" if text.split("Your task:")[-1].count("/") == 2 else "UNSOLVED"

    planner = planners.as_needed(parts("a", "b", chain=True), strategies=(), depth=2)
    result, _ = await run(script, planner)
    by_id = {each.id: each.task for each in result.tasks}
    assert by_id["try.b-1"].needs == ("try.a.a-1", "try.a.b-1")
    assert by_id["try.b.a-1"].needs == ("try.a.a-1", "try.a.b-1")
    assert by_id["try.b.b-1"].needs == ("try.b.a-1", "try.a.a-1", "try.a.b-1")


async def test_if_nothing_succeeds_the_last_resort_is_what_was_said_and_it_is_not_complete() -> None:
    result, asked = await run(lambda _: "UNSOLVED: no idea", planners.as_needed(parts("a", "b"), depth=0))
    assert result.text == "merged"
    assert not result.complete
    assert len(asked) == 2


async def test_a_planner_that_fails_or_has_one_part_decomposes_nothing() -> None:
    def script(request: ModelRequest) -> Reply:
        return ModelServerError("down", model="m") if request.output_schema is not None else "UNSOLVED"

    for planner in (planners.model(), parts("a")):
        mind = Contemplator(ScriptedModel(script), planner=planners.as_needed(planner), aggregator=aggregators.first())
        result = await mind.run("q")
        assert result.text == "UNSOLVED"
        assert not result.complete
        assert any("given up after 2 attempts" in note for note in result.notes)


async def test_with_a_model_as_planner() -> None:
    plan = json.dumps({"tasks": [{"title": t, "prompt": f"do {t}", "needs": n} for t, n in (("a", []), ("b", [1]))]})

    def script(request: ModelRequest) -> str:
        if request.output_schema is not None:
            return plan
        if "You write the final answer" in request.messages[0].text:
            return "merged"
        return "fine" if "Your task:" in request.messages[-1].text else "UNSOLVED"

    mind = Contemplator(
        ScriptedModel(script), planner=planners.as_needed(planners.model()), aggregator=aggregators.synthesize()
    )
    result = await mind.run("q")
    assert (result.text, result.usage.calls) == ("merged", 6)
    assert result.support == ("try.1-1", "try.2-1")


async def test_a_limit_on_calls_ends_in_what_there_is() -> None:
    result, _ = await run(lambda _: "UNSOLVED: no idea", planners.as_needed(parts("a", "b")), limits=Limits(calls=3))
    assert result.text == "merged"
    assert not result.complete


def test_a_negative_depth() -> None:
    with pytest.raises(ConfigurationError, match="depth=-1"):
        planners.as_needed(planners.model(), depth=-1)


@given(st.integers(0, 2**32), st.integers(0, 2), st.integers(0, 2), st.floats(0, 1))
def test_whatever_fails_it_ends_and_every_leaf_has_one_result(seed: int, ways: int, depth: int, rate: float) -> None:
    chance = random.Random(seed)
    failed: set[str] = set()

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        if chance.random() < rate:
            failed.add(task.id)
            if chance.random() < 0.5:
                raise ValueError("it failed")
            return Answer("UNSOLVED")
        return Answer("fine")

    released: list[str] = []

    async def listing(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        async for result in results:
            released.append(result.id)
        return "done"

    planner = planners.as_needed(parts("a", "b", chain=True), strategies=["another way"] * ways, depth=depth)
    mind = Contemplator(ScriptedModel(""), planner=planner, agent=agent, aggregator=listing)
    result = anyio.run(mind.run, "q")
    attempts = 1 + ways
    assert len(result.tasks) <= attempts * (2 ** (depth + 1) - 1)
    goals = {each.id.rpartition("-")[0] for each in result.tasks}
    leaves = {goal for goal in goals if not any(other.startswith(f"{goal}.") for other in goals)}
    given_up = leaves & {each.rpartition("-")[0] for each in failed if each.endswith(f"-{attempts}")}
    if result.complete or goals != {"try"}:
        assert sorted(each.rpartition("-")[0] for each in released if each not in failed) == sorted(leaves - given_up)
    assert {each.id for each in result.tasks if each.id not in failed and each.answered} <= set(released)
