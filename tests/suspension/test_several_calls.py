"""Several subagents that wait at once, and runs within runs that do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from contemplate import Answer, Contemplator, PendingCall, RunContext, Task, TaskContext, aggregators, planners, tool
from contemplate.errors import ConfigurationError, ContemplateError
from contemplate.events import TaskFinished
from contemplate.models import ModelRequest
from contemplate.result import TaskResult
from contemplate.testing import ScriptedModel

from .scene import Office, by_argument, calls, join, mailing, part_of, parts, told, turn

pytestmark = pytest.mark.anyio


async def test_answers_come_one_by_one_and_nothing_is_paid_twice() -> None:
    office, model = Office(), mailing("a", "b", "c")
    mind = Contemplator(model, planner=parts("a", "b", "c"), aggregator=join, tools=[office.mail()])
    result = await mind.run("All three.")
    ids = by_argument(result)
    assert sorted(ids) == ["a", "b", "c"]
    assert {call.task for call in result.pending} == {"a", "b", "c"}
    # Model-given ids collide; these do not.
    assert len(set(ids.values())) == 3

    result = await mind.resume(result.run_id, {ids["b"]: True})
    assert by_argument(result) == {name: ids[name] for name in ("a", "c")}
    assert {each.id: each.outcome for each in result.tasks} == {"a": "suspended", "b": "answered", "c": "suspended"}
    assert len(model.requests) == 4
    result = await mind.resume(result.run_id, {ids["c"]: False})
    result = await mind.resume(result.run_id, {ids["a"]: True})
    assert result.text == ("a: sent to a | b: sent to b | c: The call was not allowed, and was not made.")
    assert sorted(office.sent) == ["a", "b"]
    assert len(model.requests) == 6
    assert result.usage.calls == 6


async def test_siblings_go_on_while_somebody_is_asked() -> None:
    office, model = Office(), mailing("a", "b")
    over: list[str] = []
    b_is_over = anyio.Event()

    def hear(event: object) -> None:
        if isinstance(event, TaskFinished):
            over.append(event.result.id)
            b_is_over.set()

    async def approve(call: PendingCall) -> bool:
        if call.task == "a":
            await b_is_over.wait()
        return True

    mind = Contemplator(
        model, planner=parts("a", "b"), aggregator=join, tools=[office.mail()], approve=approve, on_event=hear
    )
    assert (await mind.run("Both.")).status == "answered"
    assert over == ["b", "a"]


async def test_the_run_is_suspended_only_when_nothing_else_can_be_done() -> None:
    """A task that works by itself, and tasks that need it, end before."""
    release = anyio.Event()

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="part a")
        yield Task(id="slow", prompt="part slow")
        await ctx.finished("slow")
        yield Task(id="after", prompt="part after", needs=("slow",))
        await ctx.finished("a")
        yield Task(id="last", prompt="part last")

    class Slow:
        waits = True

        async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
            if task.id == "slow":
                await release.wait()
                return Answer("slow")
            return await agent(task, ctx)

    from contemplate import Agent

    office = Office()
    agent = Agent(tools=[office.mail()])

    def script(request: ModelRequest) -> object:
        part = part_of(request, ("last", "after", "a"))
        if part == "a" and turn(request) == 0:
            return calls(("mail", {"to": "a"}))
        return part

    model = ScriptedModel(script)  # type: ignore[arg-type]
    mind = Contemplator(model, planner=plan, aggregator=join, agent=Slow())
    results = []

    async def run() -> None:
        results.append(await mind.run("q"))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        assert not results
        release.set()
    (result,) = results
    assert {each.id: each.outcome for each in result.tasks} == {
        "a": "suspended",
        "slow": "answered",
        "after": "answered",
    }
    result = await mind.resume(result.run_id, {result.pending[0].id: True})
    assert result.text == "a | slow | after | last"


async def test_parallel_calls_of_one_turn_wait_together_and_equal_ones_stay_apart() -> None:
    office = Office()
    model = ScriptedModel(
        [
            calls(("mail", {"to": "a"}), ("mail", {"to": "a"}), ("note", {"text": "x"})),
            calls(("mail", {"to": "a"})),
            "done",
        ]
    )

    @tool
    def note(text: str) -> str:
        """Keep a note."""
        return "kept"

    mind = Contemplator(model, mode="instant", tools=[office.mail(), note])
    result = await mind.run("q")
    first, second = result.pending
    assert first.id != second.id
    result = await mind.resume(result.run_id, {first.id: False})
    assert result.pending == (second,)
    result = await mind.resume(result.run_id, {second.id: True})
    assert told(model.requests[1])[2] == "kept"
    assert sorted(told(model.requests[1])[:2]) == ["The call was not allowed, and was not made.", "sent to a"]
    (third,) = result.pending
    assert third.id not in (first.id, second.id)
    assert (await mind.resume(result.run_id, {third.id: True})).text == "done"
    assert office.sent == ["a", "a"]
    assert len(model.requests) == 3


async def test_an_aggregator_that_has_decided_does_not_wait() -> None:
    def script(request: ModelRequest) -> object:
        if part_of(request, ("a", "b", "c")) == "a":
            return calls(("mail", {"to": "a"}))
        return "Answer: 5"

    async def second(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        seen = [await anext(results), await anext(results)]
        return seen[-1].text

    model = ScriptedModel(script)  # type: ignore[arg-type]
    mind = Contemplator(model, planner=parts("a", "b", "c"), aggregator=second, tools=[Office().mail()])
    result = await mind.run("q")
    assert (result.status, result.text) == ("answered", "Answer: 5")
    assert {each.id: each.outcome for each in result.tasks}["a"] == "cancelled"


async def test_a_contemplator_as_agent() -> None:
    office, model = Office(), mailing("a", "b")
    inner = Contemplator(model, mode="instant", tools=[office.mail()])
    mind = Contemplator(model, planner=parts("a", "b"), aggregator=join, agent=inner)
    result = await mind.run("Both.")
    assert {call.task for call in result.pending} == {"a/answer", "b/answer"}
    ids = by_argument(result)
    result = await mind.resume(result.run_id, {ids["b"]: True})
    result = await mind.resume(result.run_id, {ids["a"]: True})
    assert result.text == "a: sent to a | b: sent to b"
    assert len(model.requests) == 4
    assert sorted(office.sent) == ["a", "b"]


@pytest.mark.parametrize("sync", [False, True])
async def test_a_run_within_a_tool(sync: bool) -> None:
    office, inner_model = Office(), mailing("a")
    inner = Contemplator(inner_model, planner=parts("a"), aggregator=join, tools=[office.mail()])
    begun: list[str] = []

    if sync:

        @tool
        def research(topic: str) -> str:
            """Look something up."""
            begun.append(topic)
            return inner.run_sync(topic).text

    else:

        @tool
        async def research(topic: str) -> str:
            """Look something up."""
            begun.append(topic)
            return (await inner.run(topic)).text

    model = ScriptedModel([calls(("research", {"topic": "t"}), ("research", {"topic": "t"})), "done"])
    mind = Contemplator(model, mode="instant", tools=[research], journal="memory:")
    result = await mind.run("q")
    assert len({call.id for call in result.pending}) == 2
    for call in result.pending:
        assert call.task is not None
        assert call.task.startswith("answer/research:")
        result = await mind.resume(result.run_id, {call.id: True})
    assert result.text == "done"
    assert told(model.requests[1]) == ["a: sent to a"] * 2
    assert office.sent == ["a", "a"]
    assert len(inner_model.requests) == 4
    assert len(model.requests) == 2


async def test_a_suspended_run_that_cannot_be_resumed_says_so() -> None:
    inner = Contemplator(mailing("a"), planner=parts("a"), aggregator=join, tools=[Office().mail()])

    @tool
    async def research(topic: str) -> str:
        """Look something up."""
        return (await inner.run(topic)).text

    mind = Contemplator(ScriptedModel([calls(("research", {"topic": "t"}))]), mode="instant", tools=[research])
    result = await mind.run("q")
    assert result.status == "suspended"
    assert "cannot be resumed without a journal" in result.notes[0]


async def test_a_run_that_blocks_the_event_loop_cannot_wait() -> None:
    inner = Contemplator(mailing("a"), planner=parts("a"), aggregator=join, tools=[Office().mail()])

    @tool
    async def research(topic: str) -> str:
        """Look something up."""
        return str(inner.run_sync(topic).tasks[0].error)

    model = ScriptedModel([calls(("research", {"topic": "t"})), "done"])
    mind = Contemplator(model, mode="instant", tools=[research], journal="memory:")
    assert (await mind.run("q")).text == "done"
    assert "blocks the event loop" in told(model.requests[1])[0]


async def test_samples_wait_each_for_its_own_call() -> None:
    office = Office()

    def script(request: ModelRequest) -> object:
        return f"Answer: {told(request)[0]}" if turn(request) else calls(("mail", {"to": "a"}))

    model = ScriptedModel(script)  # type: ignore[arg-type]

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="part a", samples=3)

    mind = Contemplator(model, planner=plan, aggregator=join, tools=[office.mail(side_effects=False)])
    result = await mind.run("q")
    assert {call.task for call in result.pending} == {"a/sample-1", "a/sample-2", "a/sample-3"}
    result = await mind.resume(result.run_id, {call.id: True for call in result.pending})
    assert result.text == "Answer: sent to a"


@pytest.mark.parametrize("mode", ["vote", "refine", "council"])
async def test_tools_with_side_effects_are_refused_where_several_would_call_them(mode: str) -> None:
    model = ScriptedModel([])
    mind: Contemplator[str] = Contemplator(model, mode=mode, tools=[Office().mail()])  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match=r"mail: .*side_effects=False"):
        await mind.run("q")
    assert not model.requests


async def test_side_effects_under_samples_and_within_other_runs_are_refused_too() -> None:
    @tool(side_effects=True)
    def pay() -> str:
        """Pay."""
        return "paid"

    model = ScriptedModel([])
    with pytest.raises(ConfigurationError, match=r"pay: "):
        await Contemplator(model, planner=planners.model(max_samples=3), tools=[pay]).run("q")
    inner = Contemplator(model, mode="instant", tools=[pay])
    with pytest.raises(ContemplateError, match=r"pay: .*the run around"):
        await Contemplator(model, planner=planners.sample(3), agent=inner, aggregator=aggregators.first()).run("q")
    assert not model.requests

    only_one = ScriptedModel([calls(("pay", {})), "Answer: done"])
    mind = Contemplator(only_one, planner=planners.sample(1), aggregator=aggregators.first(), tools=[pay])
    assert (await mind.run("q")).text == "Answer: done"
