"""A deadline is met however the server misbehaves, and what arrived is concluded from."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import pytest

from contemplate import ContemplateError, Contemplator, Limits, RunResult, aggregators, planners
from contemplate.models import Model, OpenAIModel, Retry
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import FAULTS, ChatAnswer, Exchange, Reply, Silence

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leftovers")]

SECONDS = 0.5
# Where others are to have answered before.
LONGER = 2.0
# How late a run ends at most, `python -m benchmarks.chaos` prints.
GRACE = 2.0
# A busy machine takes so many times as long for what is computed, and no longer for what is waited for.
SLOWEST = 10


async def on_time(mind: Contemplator[str], seconds: float) -> RunResult[str] | None:
    """Run `mind` until its deadline; its result, or what its error holds."""
    # The first connection of a process costs the import of its transport, which is not the server's doing.
    async with mind:
        began, computed = anyio.current_time(), time.process_time()
        result: RunResult[str] | None = None
        try:
            result = await mind.run("What is 2 + 2?", limits=Limits(seconds=seconds))
        except ContemplateError as error:
            result = error.partial
        computed = time.process_time() - computed
        assert anyio.current_time() - began < seconds + GRACE + SLOWEST * computed
    return result


def minds(model: Model) -> dict[str, Contemplator[str]]:
    vote = aggregators.vote(stop=None)
    return {
        "planned": Contemplator(model, planner=planners.model(), aggregator=aggregators.synthesize()),
        "vote": Contemplator(model, planner=planners.sample(3), aggregator=vote, stream=False),
    }


# Each on both event loops and in both ways, and half of them the other way round.
EACH = [
    (fault, *way)
    for number, fault in enumerate(FAULTS)
    for way in zip(("asyncio", "trio"), ("planned", "vote") if number % 2 else ("vote", "planned"), strict=True)
]


@pytest.mark.parametrize(("fault", "anyio_backend", "way"), EACH)
async def test_every_call_meets_it(fault: str, way: str) -> None:
    with FaultyServer(FAULTS[fault]) as server:
        model = Retry(OpenAIModel("m", base_url=server.url, api_key="k"))
        await on_time(minds(model)[way], SECONDS)
        assert await anyio.to_thread.run_sync(server.wait_for, lambda: server.connections == 0)


def after_one(late: Callable[[Exchange], Reply]) -> Callable[[Exchange], Reply | str]:
    def script(exchange: Exchange) -> Reply | str:
        return "Answer: 4" if exchange.body.get("seed") in (0, 2) else late(exchange)

    return script


async def test_votes_outstanding_are_missing() -> None:
    with FaultyServer(after_one(lambda _: Silence())) as server:
        result = await on_time(minds(OpenAIModel("m", base_url=server.url, api_key="k"))["vote"], LONGER)
    assert result is not None
    assert (result.text, result.complete, result.stopped_by) == ("Answer: 4", False, "seconds")
    assert result.missing == ("sample-2",)
    assert result.support == ("sample-1", "sample-3")
    assert [task.outcome for task in result.tasks] == ["answered", "cancelled", "answered"]


@pytest.mark.parametrize(
    "late",
    [lambda _: Silence(), lambda _: Silence(after_first_token=True), lambda _: ChatAnswer("merged", delay=5.0)],
    ids=["silence", "silence midway", "slow"],
)
async def test_where_aggregation_overruns_the_best_candidate_is_returned(late: Callable[[Exchange], Reply]) -> None:
    def script(exchange: Exchange) -> Reply | str:
        return late(exchange) if "fences marked" in exchange.prompt else f"candidate {exchange.body['seed']}"

    with FaultyServer(script) as server:
        mind = Contemplator(
            OpenAIModel("m", base_url=server.url, api_key="k"),
            planner=planners.sample(3),
            aggregator=aggregators.synthesize(),
        )
        result = await on_time(mind, LONGER)
    assert result is not None
    assert (result.text, result.complete, result.stopped_by) == ("candidate 0", False, "seconds")
    assert result.missing == ()
    assert [task.outcome for task in result.tasks] == ["answered"] * 3
