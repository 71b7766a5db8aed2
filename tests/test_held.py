"""Where planner and aggregator meet: results that are held back, and a planner that waits for the other's mind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from contemplate import Answer, Contemplator, Limits, RunContext, Task, TaskContext, TaskResult, aggregators
from contemplate.errors import AggregationError, PlanError
from contemplate.result import RunResult
from contemplate.run.mailbox import Mailbox
from contemplate.run.protocols import Aggregator, Planner
from contemplate.testing import ScriptedModel

from .patience import PATIENCE
from .still_clock import on_a_still_clock, outlast
from .support import Held, steps

pytestmark = pytest.mark.anyio


async def listing(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    return " ".join([result.id async for result in results])


async def echo(task: Task, ctx: TaskContext) -> Answer:
    if task.prompt == "fail":
        raise ValueError("it failed")
    if task.prompt == "hang":
        await outlast()
    return Answer(f"{task.id}({','.join(each.text for each in ctx.inputs)})")


async def run(planner: Planner, aggregator: Aggregator = listing, *, limits: Limits | None = None) -> RunResult[str]:
    mind = Contemplator(
        ScriptedModel("unused"), planner=planner, agent=echo, aggregator=aggregator, limits=limits, stream=False
    )
    with anyio.fail_after(PATIENCE):
        return await mind.run("q")


def held(name: str, *needs: str, prompt: str = "") -> Task:
    return Task(id=name, prompt=prompt, needs=needs, held=True)


def planned(*tasks: Task, then: Callable[[RunContext], None] = lambda _: None) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for task in tasks:
            yield task
        for task in tasks:
            await ctx.finished(task.id)
        then(ctx)

    return plan


async def test_a_held_result_goes_to_those_who_need_it_and_not_to_the_aggregator() -> None:
    result = await run(planned(held("a"), held("b", "a"), Task(id="c", prompt="", needs=("b",))))
    assert result.text == "c"
    assert [each.text for each in result.tasks] == ["a()", "b(a())", "c(b(a()))"]
    assert result.complete


async def test_what_is_released_comes_once_and_in_the_order_of_release() -> None:
    def let_go(ctx: RunContext) -> None:
        ctx.release("b", "a")
        ctx.release("a", "c")

    result = await run(planned(held("a"), held("b"), held("x"), Task(id="c", prompt=""), then=let_go))
    assert result.text == "c b a"


@pytest.mark.parametrize("name", ["nobody", "b"])
async def test_what_has_no_result_cannot_be_released(name: str) -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield held("a")
        yield held("b", prompt="hang")
        ctx.release(name)

    with pytest.raises(PlanError, match=f"'{name}' has no result"):
        await run(plan)


async def test_if_nothing_else_was_answered_what_was_held_is_better_than_nothing() -> None:
    result = await run(planned(held("a"), held("b"), held("f", prompt="fail"), Task(id="c", prompt="fail")))
    assert result.text == "c a b f"
    assert not result.complete
    assert any("held back" in note for note in result.notes)


async def test_if_nothing_at_all_was_answered_nothing_is_released() -> None:
    with pytest.raises(AggregationError, match="none of the 2 tasks"):
        await run(planned(held("a", prompt="fail"), Task(id="c", prompt="fail")), aggregators.first())


@pytest.mark.parametrize("aggregator", [aggregators.vote(), aggregators.first(), listing])
@on_a_still_clock
async def test_when_time_is_up_what_was_held_is_the_answer(aggregator: Aggregator) -> None:
    limits = Limits(seconds=40)
    result = await run(planned(held("a"), held("b", "a"), Task(id="c", prompt="hang")), aggregator, limits=limits)
    assert result.text in ("a()", "b(a())", "c a b")
    assert (result.stopped_by, result.complete) == ("seconds", False)


async def test_a_vote_waits_for_no_result_that_is_held() -> None:
    class Slow:
        def __init__(self) -> None:
            self.cancelled: list[str] = []
            self.all_there = anyio.Event()

        async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
            if task.id == "d":
                self.all_there.set()
            await self.all_there.wait()
            if task.prompt:
                try:
                    await anyio.sleep_forever()
                finally:
                    self.cancelled.append(task.id)
            return Answer("Answer: 4")

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield held("h", prompt="hang")
        for name in "abc":
            yield Task(id=name, prompt="", kind="candidate")
        yield Task(id="d", prompt="hang", kind="candidate")

    slow = Slow()
    mind = Contemplator(ScriptedModel(""), planner=plan, agent=slow, aggregator=aggregators.vote())
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q")
    assert result.text == "Answer: 4"
    assert result.complete
    assert sorted(slow.cancelled) == ["d", "h"]


async def test_a_released_result_votes_although_the_vote_had_begun() -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield held("h")
        yield Task(id="a", prompt="", kind="candidate")
        for name in ("h", "a"):
            await ctx.finished(name)
        await ctx.undecided()
        ctx.release("h")

    result = await run(plan, aggregators.vote(stop=None))
    assert (result.text, result.support, [each.tasks for each in result.dissent]) == ("a()", ("a",), [("h",)])


async def test_undecided_returns_only_when_the_aggregator_has_looked_at_everything() -> None:
    seen: list[str] = []
    at: list[int] = []

    async def slow(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        async for result in results:
            await steps(20)
            seen.append(result.id)
            if len(seen) == 6:
                break
        return "enough"

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number in range(100):
            yield Task(id=str(number), prompt="")
            if number % 3 == 2:
                await ctx.finished(str(number))
                await ctx.undecided()
                at.append(len(seen))

    result = await run(plan, slow)
    assert at == [3]
    assert len(result.tasks) == 6


async def test_a_planner_that_waits_for_a_decision_is_ended_by_it() -> None:
    ended = anyio.Event()

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        try:
            yield Task(id="a", prompt="")
            await ctx.finished("a")
            await ctx.undecided()
            raise AssertionError("the aggregator had its answer")
        finally:
            ended.set()

    assert (await run(plan, aggregators.first())).complete
    assert ended.is_set()


async def test_a_mailbox_is_read_out_when_its_reader_waits_again() -> None:
    box: Mailbox[int] = Mailbox()
    log: list[object] = []

    async def read() -> None:
        async for item in box:
            await steps(5)
            log.append(item)

    async with anyio.create_task_group() as group:
        box.put(1)
        box.put(2)
        group.start_soon(read)
        await box.read_out()
        log.append("idle")
        await box.read_out()
        box.put(3)
        await box.read_out()
        log.append("idle")
        box.close()
    assert log == [1, 2, "idle", 3, "idle"]


async def test_an_interrupted_task_keeps_what_it_had_written_and_nobody_else_is_touched() -> None:
    model = Held(["half a sen", "tence"])

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="")
        yield Task(id="b", prompt="", needs=("a",), model=ctx.use(ScriptedModel("whole", name="other")))
        await model.started.wait()
        assert not ctx.interrupt("b")
        assert ctx.interrupt("a")
        assert (await ctx.finished("a")).outcome == "cancelled"
        assert not ctx.interrupt("a")

    mind = Contemplator(model, planner=plan, aggregator=listing, stream=True)
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q")
    assert [(each.outcome, each.text) for each in result.tasks] == [
        ("cancelled", "half a sentence"),
        ("answered", "whole"),
    ]
    assert model.running == 0
