"""Tasks that an aggregator adds to its run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from contemplate import Agent, Answer, Contemplator, Limits, RunContext, RunResult, Task, TaskContext, TaskResult
from contemplate.errors import AggregationError, PlanError
from contemplate.journal import Journal
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from ..support import Held, Watched, cancelled_after, running

pytestmark = pytest.mark.anyio

Concludes = Callable[[RunContext], Awaitable[str]]


async def one(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id="a", prompt="a")


def echo(request: ModelRequest) -> str:
    return f"did {request.messages[-1].text.splitlines()[-1]}"


def mind(concludes: Concludes, **options: Any) -> Contemplator[str]:
    async def aggregate(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        _ = [each async for each in results]
        return await concludes(ctx)

    defaults: dict[str, Any] = {"planner": one, "aggregator": aggregate}
    model = options.pop("model", ScriptedModel(echo))
    return Contemplator(model, **(defaults | options))


def tasks(*names: str, needs: tuple[str, ...] = ()) -> list[Task]:
    return [Task(id=name, prompt=name, needs=needs) for name in names]


def told(results: tuple[TaskResult, ...]) -> str:
    return ", ".join(f"{each.id}: {each.outcome}" for each in results)


async def test_they_are_tasks_like_others() -> None:
    watched = Watched()

    async def concludes(ctx: RunContext) -> str:
        assert ctx.plan_done
        more = await ctx.run_tasks([Task(id="c", prompt="c", needs=("a",)), Task(id="d", prompt="d", needs=("c",))])
        more += await ctx.run_tasks(tasks("e", needs=("d",)))
        return told(more)

    result = await mind(concludes, planner=watched.planner(one), on_event=watched).run("q")
    assert result.output == "c: answered, d: answered, e: answered"
    assert [each.id for each in result.plan.tasks] == ["a", "c", "d", "e"]
    assert [each.index for each in result.tasks] == [0, 1, 2, 3]
    assert [each.held for each in result.plan.tasks] == [False, True, True, True]
    watched.check()


async def test_while_the_planner_is_at_work() -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="a")
        await ctx.undecided()
        yield Task(id="b", prompt="b")

    async def aggregate(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        seen = []
        async for each in results:
            seen.append(each.id)
            if each.id == "a":
                seen += [each.id for each in await ctx.run_tasks(tasks("x", "y", needs=("a",)))]
        return " ".join(seen)

    for limits in (Limits(), Limits(calls=6, total_tokens=9000)):
        result = await Contemplator(ScriptedModel(echo), planner=plan, aggregator=aggregate, limits=limits).run("q")
        assert result.output == "a x y b"


async def test_it_waits_for_what_they_need() -> None:
    release = anyio.Event()

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        if task.id == "slow":
            await release.wait()
        return Answer(" ".join([task.id, *(each.text for each in ctx.inputs)]))

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="a")
        yield Task(id="slow", prompt="slow")

    async def aggregate(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        async for _ in results:
            async with anyio.create_task_group() as group:
                group.start_soon(ctx.run_tasks, tasks("y", needs=("a",)))
                group.start_soon(lambda: ctx.run_tasks(tasks("x", needs=("slow",))))
                await ctx._state.done("y")
                release.set()
            return ctx.results["x"].text
        return ""

    result = await Contemplator(ScriptedModel(""), planner=plan, agent=agent, aggregator=aggregate).run("q")
    assert result.output == "x slow"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ([Task(id="a", prompt="other")], "planned twice"),
        ([Task(id="b", prompt="b"), Task(id="b", prompt="b")], "planned twice"),
        ([Task(id="b", prompt="b"), Task(id="c", prompt="c", needs=("d",))], "not an earlier task"),
    ],
)
async def test_tasks_that_cannot_be_added(more: list[Task], problem: str) -> None:
    async def concludes(ctx: RunContext) -> str:
        with pytest.raises(PlanError, match=problem):
            await ctx.run_tasks(more)
        return told(await ctx.run_tasks([Task(id="b", prompt="b")]))

    # None of them was added.
    assert (await mind(concludes).run("q")).output == "b: answered"


async def test_a_task_that_was_planned_is_found() -> None:
    async def concludes(ctx: RunContext) -> str:
        return told(await ctx.run_tasks([Task(id="b", prompt="b"), Task(id="a", prompt="a")]))

    result = await mind(concludes).run("q")
    assert (result.output, result.usage.calls) == ("b: answered, a: answered", 2)


async def test_none_at_all() -> None:
    async def concludes(ctx: RunContext) -> str:
        return told(await ctx.run_tasks([])) or "none"

    assert (await mind(concludes).run("q")).output == "none"


async def test_only_within_the_run() -> None:
    kept: list[RunContext] = []

    async def concludes(ctx: RunContext) -> str:
        kept.append(ctx)
        return "done"

    await mind(concludes).run("q")
    with pytest.raises(RuntimeError, match="in progress"):
        await kept[0].run_tasks(tasks("b"))


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_the_limit_on_tasks(most: int) -> None:
    async def concludes(ctx: RunContext) -> str:
        left = ctx.tasks_left
        return f"{left:g} left; {told(await ctx.run_tasks(tasks('b', 'c')))}"

    result = await mind(concludes, limits=Limits(tasks=most)).run("q")
    expected = ["0 left; ", "1 left; b: answered", "2 left; b: answered, c: answered"]
    assert result.output == expected[most - 1]
    assert (result.stopped_by, result.complete) == (("tasks", False) if most < 3 else (None, True))


@pytest.mark.parametrize("calls", [2, 3, 4])
async def test_the_limit_on_calls(calls: int) -> None:
    async def concludes(ctx: RunContext) -> str:
        return told(await ctx.run_tasks(tasks("b", "c")))

    result = await mind(concludes, limits=Limits(calls=calls)).run("q")
    expected = ["capped, capped", "answered, capped", "answered, answered"][calls - 2].split(", ")
    assert sorted(each.outcome for each in result.tasks[1:]) == sorted(expected)
    assert result.usage.calls <= calls


async def test_what_is_left_is_divided_among_all_of_them() -> None:
    model = ScriptedModel(echo)

    async def concludes(ctx: RunContext) -> str:
        return told(await ctx.run_tasks(tasks("b", "c", "d")))

    await mind(concludes, model=model, limits=Limits(output_tokens=3000)).run("q")
    lengths = [each.settings.max_tokens or 0 for each in model.requests[1:]]
    assert max(lengths) <= 1000
    assert sum(lengths) > 2000


class TestDeadlines:
    """On a clock that jumps ahead when nobody has anything to do."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0)}

    async def test_the_deadline(self) -> None:
        held = Held(["some "])

        async def concludes(ctx: RunContext) -> str:
            first = await ctx.run_tasks([Task(id="b", prompt="b", model=ctx.use(held))])
            second = await ctx.run_tasks(tasks("c"))
            return f"{told(first)}; {told(second)}"

        result = await mind(concludes, limits=Limits(seconds=20)).run("q")
        assert result.output == "b: cancelled; "
        assert (result.stopped_by, result.complete, result.missing) == ("seconds", False, ("b",))
        assert result.tasks[1].text == "some "
        assert held.running == 0


async def test_they_end_with_their_caller_and_with_the_run() -> None:
    async def concludes(ctx: RunContext) -> str:
        model = Held()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(ctx.run_tasks, [Task(id="b", prompt="b", model=ctx.use(model))])
                await model.started.wait()
                scope.cancel()
        assert ctx.results["b"].outcome == "cancelled"
        return told(await ctx.run_tasks(tasks("c")))

    assert (await mind(concludes).run("q")).output == "c: answered"

    before = running()
    for count in range(0, 40, 2):
        watched = Watched()

        async def waits(ctx: RunContext) -> str:
            return told(await ctx.run_tasks([Task(id="b", prompt="b", model=ctx.use(Held(["x"])))]))

        contemplator = mind(waits, planner=watched.planner(one), on_event=watched)
        assert not await cancelled_after(count, partial(contemplator.run, "q"))
        watched.check()
        assert running() == before


async def test_an_aggregator_that_fails_meanwhile() -> None:
    async def concludes(ctx: RunContext) -> str:
        model = Held()

        async def fail() -> None:
            await model.started.wait()
            raise AggregationError("no")

        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            await ctx.run_tasks([Task(id="b", prompt="b", model=ctx.use(model))])
        return ""

    with pytest.raises(AggregationError, match="no") as raised:
        await mind(concludes).run("q")
    assert raised.value.partial is not None
    assert [each.outcome for each in raised.value.partial.tasks] == ["answered", "cancelled"]


async def test_runs_within_runs() -> None:
    async def concludes(ctx: RunContext) -> str:
        return "; ".join(each.text for each in await ctx.run_tasks(tasks("b", "c")))

    result = await mind(concludes, agent=mind(concludes)).run("q")
    assert (result.output, result.usage.calls) == ("did b; did c; did b; did c", 9)
    limited = await mind(concludes, agent=mind(concludes), limits=Limits(calls=7, total_tokens=20_000)).run("q")
    assert (limited.usage.calls, limited.complete) == (6, False)


async def test_replayed_and_aggregated_again() -> None:
    journal = Journal(None)
    names = iter(["b", "b", "b", "new"])

    async def concludes(ctx: RunContext) -> str:
        return told(await ctx.run_tasks(tasks(next(names), needs=("a",))))

    model = ScriptedModel(echo)
    contemplator = mind(concludes, model=model, journal=journal, agent=Agent())
    assert (await contemplator.run("q", run_id="r")).output == "b: answered"
    assert (await contemplator.replay("r")).output == "b: answered"
    assert (await contemplator.reaggregate("r")).output == "b: answered"
    late = await contemplator.reaggregate("r")
    assert (late.output, late.stopped_by) == ("", "tasks")
    assert len(model.requests) == 2


def test_no_task_is_added_when_the_time_for_them_is_over() -> None:
    async def one(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt=question)

    async def late(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        seen = [result.id async for result in results]
        await anyio.sleep(9.9)
        return f"{seen} {await ctx.run_tasks([Task(id='b', prompt='b')])}"

    async def main() -> RunResult[str]:
        return await Contemplator(ScriptedModel("x"), planner=one, aggregator=late, limits=Limits(seconds=10)).run("q")

    result = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert (result.text, result.stopped_by) == ("['a'] ()", "seconds")
    assert [each.id for each in result.plan.tasks] == ["a"]
