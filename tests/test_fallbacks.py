"""What was paid for is used: where an aggregator fails, a plan takes all the time, or a limit cuts answers off."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from contemplate import Contemplator, Limits, ModelSettings, RunContext, Task, TaskResult, Usage, aggregators, planners
from contemplate.errors import AggregationError, ConfigurationError, ModelServerError, QuorumNotReached
from contemplate.journal import Journal
from contemplate.messages import Message
from contemplate.models import ModelRequest, ModelResponse
from contemplate.result import Conclusion
from contemplate.testing import ScriptedModel
from contemplate.usage import Price

from .patience import PATIENCE

pytestmark = pytest.mark.anyio


async def parts(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id="a", prompt="part a", title="A")
    yield Task(id="b", prompt="part b", title="B")


def merging(request: ModelRequest) -> bool:
    return "final answer" in request.messages[0].text


async def test_parts_stand_side_by_side_where_the_merge_fails() -> None:
    def reply(request: ModelRequest) -> str | Exception:
        if merging(request):
            return ModelServerError("HTTP 503: overloaded", model="m")
        return "said a" if "part a" in request.messages[-1].text else "said b"

    result = await Contemplator(ScriptedModel(reply), planner=parts).run("q")
    assert result.text == "## A\n\nsaid a\n\n## B\n\nsaid b"
    assert not result.complete
    assert any("503" in note for note in result.notes)


@pytest.mark.parametrize("failure", [ModelServerError("down", model="m"), ValueError("bad"), AggregationError("no")])
async def test_what_an_aggregator_has_offered_is_used_if_it_fails(failure: Exception) -> None:
    async def offering(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ctx.offer(lambda: Conclusion(text="so far"))
        async for _ in results:
            pass
        raise failure

    result = await Contemplator(ScriptedModel("x"), planner=parts, aggregator=offering).run("q")
    assert (result.text, result.complete) == ("so far", False)


@pytest.mark.parametrize("failure", [ConfigurationError("wrong"), QuorumNotReached("too few")])
async def test_an_error_that_the_user_asked_for_is_raised(failure: Exception) -> None:
    async def offering(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        ctx.offer(lambda: Conclusion(text="so far"))
        raise failure

    with pytest.raises(type(failure), match=str(failure)):
        await Contemplator(ScriptedModel("x"), planner=parts, aggregator=offering).run("q")


async def test_a_plan_that_takes_its_time_leaves_a_direct_answer() -> None:
    async def reply(request: ModelRequest) -> str:
        if request.output_schema is not None:
            await anyio.sleep_forever()
        return "directly"

    mind = Contemplator(ScriptedModel(reply), limits=Limits(seconds=2))
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q")
    assert (result.text, result.complete, result.stopped_by) == ("directly", False, "seconds")
    assert [task.task.kind for task in result.tasks] == ["answer"]


async def test_what_a_limit_cut_off_is_said_to_be_cut_off_by_it() -> None:
    shares: list[int] = []

    async def reply(request: ModelRequest) -> ModelResponse:
        most = request.settings.max_tokens
        assert most is not None
        shares.append(most)
        message = Message.assistant("thinking " * 50)
        return ModelResponse(message=message, finish="length", usage=Usage(calls=1, output_tokens=most), model="m")

    mind = Contemplator(ScriptedModel(reply), mode="vote", limits=Limits(output_tokens=600))
    with pytest.raises(AggregationError, match=r"Limits\.output_tokens") as caught:
        await mind.run("q")
    assert shares == [600], "rather one that is whole than five that are not"
    assert caught.value.hint is not None
    assert "output_tokens" in caught.value.hint
    assert caught.value.partial is not None
    assert caught.value.partial.stopped_by == "output_tokens"


async def test_too_little_for_all_samples_is_enough_for_fewer() -> None:
    async def reply(request: ModelRequest) -> ModelResponse:
        return ModelResponse(
            message=Message.assistant("Answer: 7"), finish="stop", usage=Usage(calls=1, output_tokens=60), model="m"
        )

    mind = Contemplator(
        ScriptedModel(reply),
        planner=planners.sample(10),
        aggregator=aggregators.vote(stop=None),
        limits=Limits(output_tokens=200),
    )
    result = await mind.run("q")
    assert result.text == "Answer: 7"
    assert result.usage.output_tokens <= 200
    assert (result.complete, result.stopped_by) == (False, "output_tokens")


async def test_an_own_limit_on_tokens_is_not_said_to_be_the_runs() -> None:
    async def reply(request: ModelRequest) -> ModelResponse:
        message = Message.assistant("thinking")
        return ModelResponse(message=message, finish="length", usage=Usage(calls=1, output_tokens=9), model="m")

    mind = Contemplator(
        ScriptedModel(reply), mode="vote", settings=ModelSettings(max_tokens=20), limits=Limits(output_tokens=60_000)
    )
    with pytest.raises(AggregationError, match="max_tokens") as caught:
        await mind.run("q")
    assert caught.value.partial is not None
    assert caught.value.partial.stopped_by is None


async def test_usd_are_held_for_the_whole_run_although_an_earlier_cost_is_not_known() -> None:
    asked = 0

    async def reply(request: ModelRequest) -> ModelResponse:
        nonlocal asked
        asked += 1
        return ModelResponse(
            message=Message.assistant(f"Answer: {asked}"),
            finish="stop",
            usage=Usage(calls=1, input_tokens=0, output_tokens=1000, cost_usd=None),
            model="m",
        )

    journal = Journal()
    planner, aggregator = planners.sample(3), aggregators.vote(stop=None)
    unpriced = Contemplator(ScriptedModel(reply, price=None), planner=planner, aggregator=aggregator, journal=journal)
    await unpriced.run("q", run_id="r")
    record = journal.load("r")
    assert record is not None
    journal.save(record.model_copy(update={"status": "interrupted", "result": None}))
    # Three thousand tokens cost 3 USD, so that nothing is left of 2.
    priced = Contemplator(
        ScriptedModel(reply, price=Price(input=0, output=1000)),
        planner=planners.sample(6),
        aggregator=aggregator,
        journal=journal,
        limits=Limits(cost_usd=2),
    )
    result = await priced.run("q", run_id="r")
    assert asked == 3
    assert result.usage.cost_usd == pytest.approx(3.0)
    assert result.stopped_by == "cost_usd"
