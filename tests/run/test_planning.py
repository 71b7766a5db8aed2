"""Calls wait for the plan where their share hangs on it, and never for a planner that waits for one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from contemplate import Answer, Contemplator, Limits, RunContext, Task, TaskContext, Usage, aggregators, planners
from contemplate.events import CallQueued, Event
from contemplate.messages import Message, ToolCall
from contemplate.models import Model, ModelRequest, ModelResponse
from contemplate.run.planner_steps import Planning
from contemplate.run.protocols import AgentFunction, Planner
from contemplate.run.watched_coroutine import followed
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from ..support import steps
from ..test_budget_division import Obedient

pytestmark = pytest.mark.anyio

TIGHT = Limits(total_tokens=9000)
PLAN = '{"tasks": [{"title": "A", "prompt": "a", "needs": []}, {"title": "B", "prompt": "b", "needs": []}]}'


async def asked(task: Task, ctx: TaskContext) -> Answer:
    return Answer((await ctx.call(ModelRequest((Message.user(task.prompt),)))).message.text)


async def run(mind: Contemplator[str]) -> list[str]:
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q")
    assert result.usage.total_tokens <= 9000
    return [task.outcome for task in result.tasks]


def thought(plan: Planner, agent: AgentFunction, limits: Limits, model: Model | None = None) -> Contemplator[str]:
    return Contemplator(
        model or ScriptedModel("x"), planner=plan, agent=agent, aggregator=aggregators.synthesize(), limits=limits
    )


async def planned(ctx: RunContext) -> None:
    await ctx.call("planner", ModelRequest((Message.user("plan"),)))


def telling(done: anyio.Event) -> AgentFunction:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        answer = await asked(task, ctx)
        done.set()
        return answer

    return agent


async def test_a_planner_that_waits_for_an_agent_in_a_way_of_its_own() -> None:
    done = anyio.Event()

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        await planned(ctx)
        yield Task(id="a", prompt="a")
        await done.wait()
        yield Task(id="b", prompt="b")

    assert await run(thought(plan, telling(done), TIGHT)) == ["answered", "answered"]


async def test_a_planner_that_waits_for_an_agent_and_does_not_read_on() -> None:
    done = anyio.Event()

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        async with ctx.stream("planner", ModelRequest((Message.user("plan"),))) as call:
            async for _ in call:
                yield Task(id="a", prompt="a")
                await done.wait()
                break
        yield Task(id="b", prompt="b")

    assert await run(thought(plan, telling(done), TIGHT, Obedient([100], pieces=9))) == ["answered", "answered"]


@pytest.mark.parametrize("concurrency", [1, 2, None])
async def test_a_planner_of_several_turns_that_does_not_wait_for_its_tasks(concurrency: int | None) -> None:
    async def reply(request: ModelRequest) -> ModelResponse | str:
        await steps(2)
        if not request.tools:
            return "said"
        turn = sum(message.role == "assistant" for message in request.messages)
        if turn == 3:
            return "done"
        arguments = f'{{"title": "T{turn}", "prompt": "p"}}'
        call = ToolCall(id=str(turn), name="spawn", arguments=arguments)
        return ModelResponse(
            message=Message.assistant("", tool_calls=(call,)), finish="tool_calls", usage=Usage(calls=1), model="m"
        )

    mind = Contemplator(
        ScriptedModel(reply),
        planner=planners.orchestrate(),
        aggregator=aggregators.synthesize(),
        limits=TIGHT.model_copy(update={"concurrency": concurrency}),
    )
    assert await run(mind) == ["answered"] * 3


async def test_a_planner_that_asks_a_contemplator() -> None:
    inner = Contemplator(ScriptedModel(lambda request: PLAN if request.output_schema else "said"))

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="a")
        await inner.run("what is to be done?")
        yield Task(id="b", prompt="b")

    assert await run(thought(plan, asked, TIGHT)) == ["answered", "answered"]


@pytest.mark.parametrize("pieces", [1, 7, 40])
async def test_parts_of_a_run_within_a_run_get_equal_shares_of_the_outer_limit(pieces: int) -> None:
    given: list[int | None] = []

    class Watched(Obedient):
        def _text(self, request: ModelRequest) -> tuple[str, tuple[ToolCall, ...]]:
            text, calls = super()._text(request)
            if len(text) == 3000 * 4:
                given.append(request.settings.max_tokens)
            return text, calls

    inner = Contemplator(Watched([3000] * 4, pieces=pieces), stream=True)
    one = Contemplator(
        ScriptedModel("x"),
        planner=planners.direct(),
        agent=inner,
        aggregator=aggregators.first(),
        limits=Limits(total_tokens=20_000),
    )
    with anyio.fail_after(PATIENCE):
        result = await one.run("q")
    assert result.text.strip()
    assert result.usage.total_tokens <= 20_000
    assert len(given) == 4
    least, most = min(each or 0 for each in given), max(each or 0 for each in given)
    assert most - least <= 8, given


class Plain:
    """A planner's iterator whose steps are awaited in a way of their own."""

    def __init__(self) -> None:
        self.given = 0

    def __aiter__(self) -> Plain:
        return self

    def __anext__(self) -> Plain:
        return self

    def __await__(self) -> Generator[Any, Any, int]:
        yield from anyio.lowlevel.checkpoint().__await__()
        self.given += 1
        if self.given > 3:
            raise StopAsyncIteration
        return self.given


async def test_steps_are_taken_as_by_await() -> None:
    planning, pauses = Planning(), 0

    def paused() -> None:
        nonlocal pauses
        pauses += 1

    planning.divide_again = paused
    steps_of: AsyncIterator[int] = Plain()
    assert [each async for each in planning.follow(steps_of)] == [1, 2, 3]
    # Trio's loop may let it go on before it says that it waits.
    assert 1 <= pauses <= 4
    assert not planning.paused


async def test_what_is_thrown_into_a_planner_reaches_it() -> None:
    planning, seen = Planning(), []

    async def plan() -> AsyncIterator[int]:
        try:
            yield 1
            await anyio.sleep_forever()
        except BaseException as error:
            seen.append(type(error))
            raise

    with anyio.CancelScope() as scope:
        async for _ in planning.follow(plan()):
            scope.cancel()
    assert seen == [anyio.get_cancelled_exc_class()]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_follower_may_set_what_the_coroutine_waits_for(cancelled: bool) -> None:
    event = anyio.Event()

    class Sets:
        def waits(self) -> None:
            event.set()

        def goes_on(self) -> None:
            pass

    with anyio.fail_after(PATIENCE), anyio.CancelScope() as scope:
        if cancelled:
            scope.cancel()
        await followed(event.wait(), Sets())
    assert event.is_set() or scope.cancelled_caught


# What a run of these tasks may write, is plenty or hardly enough.
AMOUNTS = pytest.mark.parametrize("limits", [TIGHT, Limits(total_tokens=10**8)], ids=["tight", "plenty"])


@AMOUNTS
async def test_a_planner_for_whose_call_there_is_no_room(limits: Limits) -> None:
    mind = Contemplator(ScriptedModel("x"), limits=limits.model_copy(update={"calls": 2}))
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q")
    assert (result.text, result.stopped_by) == ("x", "calls")
    assert "the question is answered directly" in result.notes[0]


@pytest.mark.parametrize("tokens", [9000, 10**8])
def test_a_plan_that_is_not_written_in_time(tokens: int) -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        await anyio.sleep(3600)
        yield Task(id="a", prompt="a")

    mind = Contemplator(ScriptedModel("x"), planner=plan, limits=Limits(seconds=60, total_tokens=tokens))
    result = trio.run(mind.run, "q", clock=trio.testing.MockClock(autojump_threshold=0))
    assert (result.text, result.stopped_by) == ("x", "seconds")


@AMOUNTS
async def test_a_planner_that_waits_beside_a_call_of_its_own(limits: Limits) -> None:
    done = anyio.Event()

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="a")
        async with anyio.create_task_group() as group:
            group.start_soon(planned, ctx)
            await done.wait()
        yield Task(id="b", prompt="b")

    assert await run(thought(plan, telling(done), limits)) == ["answered", "answered"]


@AMOUNTS
async def test_a_planner_whose_calls_wait_for_the_slot_of_a_task(limits: Limits) -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="a")
        async with anyio.create_task_group() as group:
            group.start_soon(planned, ctx)
            await steps(3)
            group.start_soon(planned, ctx)
        yield Task(id="b", prompt="b")

    limits = limits.model_copy(update={"concurrency": 1})
    assert await run(thought(plan, asked, limits)) == ["answered", "answered"]


@AMOUNTS
async def test_a_planner_that_waits_for_a_task_while_it_is_closed(limits: Limits) -> None:
    done = anyio.Event()

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        try:
            for name in "abc":
                yield Task(id=name, prompt=name)
        finally:
            await done.wait()

    limits = limits.model_copy(update={"tasks": 2})
    assert await run(thought(plan, telling(done), limits)) == ["answered", "answered"]


@pytest.mark.parametrize("stream", [False, True])
async def test_tasks_do_not_wait_for_a_call_between_them_and_the_next_ones(stream: bool) -> None:
    begun, tasks = 0, 10

    async def reply(request: ModelRequest) -> str:
        nonlocal begun
        if request.messages[-1].text == "plan":
            with anyio.fail_after(PATIENCE):
                while begun < tasks:
                    await anyio.lowlevel.checkpoint()
        else:
            begun += 1
        return "x"

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number in range(tasks):
            yield Task(id=str(number), prompt="p")
        if stream:
            async with ctx.stream("planner", ModelRequest((Message.user("plan"),))) as call:
                async for _ in call:
                    pass
        else:
            await planned(ctx)
        yield Task(id="last", prompt="p")

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        ctx.offer(Answer("early"))
        return await asked(task, ctx)

    events: list[Event] = []
    mind = thought(plan, agent, Limits(total_tokens=10**8), ScriptedModel(reply))
    await mind.run("q", on_event=events.append)
    assert not [event for event in events if isinstance(event, CallQueued)]
