"""Runs over a real HTTP server: what is sent when, what is cancelled, and what is closed."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator

import anyio
import pytest

from contemplate import Contemplator, RunContext, Task, TaskResult, aggregators, answers, planners
from contemplate.models import OpenAIModel
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange, Reply, Silence

from .patience import PATIENCE
from .still_clock import on_a_still_clock

pytestmark = pytest.mark.anyio

PLAN = json.dumps(
    {
        "tasks": [
            {"title": "One", "prompt": "Do one.", "needs": []},
            {"title": "Two", "prompt": "Do two.", "needs": []},
            {"title": "Both", "prompt": "Do both.", "needs": [1, 2]},
        ]
    }
)


def model_at(server: FaultyServer) -> OpenAIModel:
    return OpenAIModel("model", base_url=server.url, api_key="sk-secret-key")


async def test_a_task_starts_while_the_plan_is_still_written() -> None:
    rest = threading.Event()
    cut = PLAN.index("}") + 1

    def script(exchange: Exchange) -> Reply | str:
        if exchange.schema == "plan":
            return ChatAnswer(PLAN, pieces=(PLAN[:cut], PLAN[cut:]), gates={1: rest})
        rest.set()
        return f"Done: {exchange.prompt[-8:]}"

    with FaultyServer(script) as server:
        mind = Contemplator(model_at(server), stream=True)
        result = await mind.run("What is to be done?")
        # The end of the plan was only sent after a subagent had asked, so this ends at all only if it did.
        plan, first = server.exchanges[0], server.exchanges[1]
        assert plan.answered is not None
        assert first.arrived < plan.answered
        assert "Do one." in first.prompt
        assert [task.outcome for task in result.tasks] == ["answered"] * 3


# No time passes on its clock, so that whatever hangs up has not waited for any.
@on_a_still_clock
async def test_a_decided_vote_hangs_up_on_the_rest() -> None:
    last = threading.Event()

    def script(exchange: Exchange) -> Reply | str:
        if exchange.body["seed"] >= 5:
            return Silence()
        # The first sample would win a tie: without it four votes of eight decide nothing, and with it they do.
        return ChatAnswer("Answer: 4", gates={} if exchange.body["seed"] else {0: last})

    with FaultyServer(script) as server:

        def left() -> int:
            return sum(each.hung_up is not None for each in server.exchanges)

        def undecided() -> bool:
            return len(server.exchanges) == 8 and sum(each.answered is not None for each in server.exchanges) == 4

        async def decide() -> None:
            assert await anyio.to_thread.run_sync(server.wait_for, undecided, PATIENCE)
            assert left() == 0
            last.set()
            assert await anyio.to_thread.run_sync(server.wait_for, lambda: left() == 3, PATIENCE)

        mind = Contemplator(model_at(server), planner=planners.sample(8), aggregator=aggregators.vote(key=answers.math))
        async with anyio.create_task_group() as group:
            group.start_soon(decide)
            result = await mind.run("What is 2 + 2?")
    assert answers.math(result.output) == "4"
    assert [task.outcome for task in result.tasks] == ["answered"] * 5 + ["cancelled"] * 3
    assert result.complete


async def test_the_pool_works_after_hundreds_of_cancellations() -> None:
    def script(exchange: Exchange) -> Reply | str:
        return Silence() if exchange.prompt.startswith("wait") else "here"

    async def some(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for i in range(100):
            yield Task(id=f"w{i}", prompt="wait", kind="candidate")
        yield Task(id="quick", prompt="quick", kind="candidate")

    with FaultyServer(script) as server:
        async with Contemplator(model_at(server), planner=some, aggregator=aggregators.first()) as mind:
            for _ in range(4):
                result = await mind.run("Anybody?")
                assert result.output == "here"
                assert sum(task.outcome == "cancelled" for task in result.tasks) == 100
            quick = await mind.run("Anybody?")
            assert quick.output == "here"
        assert server.wait_for(lambda: server.connections == 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_no_connection_outlives_a_run(stream: bool) -> None:
    with FaultyServer("Four.") as server:
        mind = Contemplator(model_at(server), mode="instant", stream=stream)
        await mind.run("What is 2 + 2?")
        assert server.wait_for(lambda: server.connections == 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_connections_are_kept_while_the_mind_is_open(stream: bool) -> None:
    with FaultyServer("Four.") as server:
        async with Contemplator(model_at(server), mode="instant", stream=stream) as mind:
            for _ in range(5):
                await mind.run("What is 2 + 2?")
        assert server.accepted == 1
        assert server.wait_for(lambda: server.connections == 0)


async def test_a_run_that_is_left_closes_its_stream() -> None:
    with FaultyServer(lambda _: Silence(after_first_token=True)) as server:
        async with Contemplator(model_at(server), mode="instant").stream("Well?") as run:
            async for event in run:
                if event.kind == "output_delta":
                    break
        assert server.wait_for(lambda: server.exchanges[0].hung_up is not None)
        assert server.wait_for(lambda: server.connections == 0)


async def test_cancelling_from_outside_closes_everything() -> None:
    async def waiting(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        return " ".join([each.text async for each in results])

    with FaultyServer(lambda _: Silence()) as server:
        mind = Contemplator(model_at(server), planner=planners.sample(20), aggregator=waiting)
        async with anyio.create_task_group() as group:
            group.start_soon(mind.run, "Anybody?")
            assert await anyio.to_thread.run_sync(lambda: server.wait_for(lambda: len(server.exchanges) == 20))
            group.cancel_scope.cancel()
        assert server.wait_for(lambda: server.connections == 0)
        assert all(each.hung_up is not None for each in server.exchanges)
