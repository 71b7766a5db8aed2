"""Rounds of attempts: who is shown whom, what the aggregator is given, and what a failure costs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Answer, Contemplator, RunContext, Task, TaskContext, TaskResult, aggregators, planners
from contemplate.errors import ConfigurationError, ModelServerError
from contemplate.models import ModelRequest
from contemplate.prompts import render
from contemplate.testing import ScriptedModel

from .patience import PATIENCE

pytestmark = pytest.mark.anyio


async def echo(task: Task, ctx: TaskContext) -> Answer:
    await anyio.lowlevel.checkpoint()
    return Answer(task.id)


async def listing(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    return " ".join(sorted([result.id async for result in results]))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_each_is_shown_k_different_ones_of_the_round_before(n: int, k: int, rounds: int) -> None:
    k = min(k, n)
    mind = Contemplator(ScriptedModel(""), planner=planners.rounds(n, k, rounds), agent=echo, aggregator=listing)

    async def run() -> None:
        result = await mind.run("q")
        last = {f"round-{rounds}-{i + 1}" for i in range(n)}
        assert len(result.tasks) == n * rounds
        assert set(result.text.split()) == last
        assert {task.kind for task in result.plan.tasks} == {"candidate"}
        for task in result.plan.tasks:
            number = int(task.id.split("-")[1])
            before = {f"round-{number - 1}-{i + 1}" for i in range(n)} if number > 1 else set()
            assert set(task.needs) <= before
            assert len(set(task.needs)) == len(task.needs) == (k if number > 1 else 0)
            assert task.held == (task.id not in last)
        seeds = [task.settings.seed for task in result.plan.tasks if task.settings is not None]
        assert seeds == list(range(n * rounds))

    anyio.run(run)


async def test_the_last_round_is_voted_and_the_others_have_no_say() -> None:
    def script(request: ModelRequest) -> str:
        return "Answer: 2" if "attempts at this very question" in request.messages[-1].text else "Answer: 1"

    model = ScriptedModel(script)
    mind = Contemplator(model, planner=planners.rounds(4, 3, 2), aggregator=aggregators.vote(stop=None))
    result = await mind.run("q")
    assert result.output == "Answer: 2"
    assert result.support == tuple(f"round-2-{i}" for i in (1, 2, 3, 4))
    assert result.dissent == ()
    assert result.complete
    shown = model.requests[-1].messages[-1].text
    assert shown.count("Answer: 1") == 3
    assert "q" in shown
    assert render("answer_line") in shown


async def test_one_by_one_it_is_self_refinement() -> None:
    replies = iter(["a draft", "a better one", "the best"])
    model = ScriptedModel(lambda _: next(replies))
    mind = Contemplator(model, planner=planners.rounds(1, 1, 3), aggregator=aggregators.first())
    assert (await mind.run("q")).output == "the best"
    assert "a better one" in model.requests[2].messages[-1].text
    assert "a draft" not in model.requests[2].messages[-1].text
    assert render("rounds_revise") in model.requests[1].messages[-1].text


async def test_the_mode_called_refine_is_two_calls() -> None:
    replies = iter(["a draft", "a better one"])
    result = await Contemplator(ScriptedModel(lambda _: next(replies)), mode="refine").run("q")
    assert (result.output, result.usage.calls, result.complete) == ("a better one", 2, True)


async def test_a_failed_attempt_is_shown_as_missing_and_ends_nothing() -> None:
    def script(request: ModelRequest) -> str | Exception:
        return ModelServerError("down", model="m") if request.settings.seed == 0 else "Answer: 1"

    model = ScriptedModel(script)
    mind = Contemplator(model, planner=planners.rounds(2, 2, 2), aggregator=aggregators.vote(stop=None))
    result = await mind.run("q")
    assert result.output == "Answer: 1"
    assert result.missing == ("round-1-1",)
    assert "missing" in model.requests[-1].messages[-1].text


async def test_if_the_last_round_fails_the_one_before_is_the_answer() -> None:
    def script(request: ModelRequest) -> str | Exception:
        return ModelServerError("down", model="m") if request.settings.seed == 1 else "a draft"

    result = await Contemplator(ScriptedModel(script), mode="refine").run("q")
    assert (result.output, result.complete) == ("a draft", False)


async def test_an_attempt_does_not_wait_for_the_whole_round() -> None:
    # With n=3 and k=1, whoever draws another than the slow one is done before it.
    slow = anyio.Event()

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        if task.id == "round-1-1":
            await slow.wait()
        return Answer(task.id)

    async def conclude(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        seen = []
        async for result in results:
            seen.append(result.id)
            slow.set()
        return " ".join(seen)

    mind = Contemplator(ScriptedModel(""), planner=planners.rounds(20, 1, 2), agent=agent, aggregator=conclude)
    with anyio.fail_after(PATIENCE):
        assert len((await mind.run("q")).text.split()) == 20


@pytest.mark.parametrize(("n", "k", "rounds"), [(0, 0, 1), (2, 3, 1), (2, 0, 1), (2, 1, 0)])
def test_numbers_that_make_no_sense(n: int, k: int, rounds: int) -> None:
    with pytest.raises(ConfigurationError, match=f"n={n}, k={k}, rounds={rounds}"):
        planners.rounds(n, k, rounds)


async def test_the_same_run_draws_the_same() -> None:
    async def requests(run_id: str, seed: int | None = None) -> list[ModelRequest]:
        model = ScriptedModel(lambda request: f"Answer: {request.settings.seed}")
        mind = Contemplator(model, planner=planners.rounds(6, 3, 2, seed=seed), aggregator=aggregators.vote(stop=None))
        await mind.run("q", run_id=run_id)
        return sorted(model.requests, key=lambda request: request.settings.seed or 0)

    first = await requests("one")
    assert await requests("one") == first
    assert await requests("two") == first, "the run's id is no seed"
    assert await requests("one", 1) != first
