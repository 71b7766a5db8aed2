"""One contemplator within another, in each way in which it can be: both runs' limits, events and settings hold."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from contemplate import (
    Agent,
    Answer,
    Contemplator,
    Limits,
    RunContext,
    RunResult,
    Task,
    TaskContext,
    TaskResult,
    aggregators,
    planners,
    tool,
)
from contemplate.errors import ConfigurationError, ContemplateError
from contemplate.events import Event, ModelCalled, OutputDelta, RunFinished, TaskFinished, TaskStarted, ToolProgress
from contemplate.journal import Journal
from contemplate.messages import Message, ToolCall
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.run.current_run import RunScope
from contemplate.run.metering import Meter
from contemplate.run.nesting import MAX_DEPTH, inner_depth, limits_within
from contemplate.run.sync import _in_event_loop
from contemplate.run.tool_contexts import LONGEST_MESSAGE, _OngoingCall
from contemplate.testing import ScriptedModel
from contemplate.tools.tool import Tool
from contemplate.usage import Usage

from ..patience import PATIENCE
from ..support import steps

pytestmark = pytest.mark.anyio

Mind = Contemplator[str]


@dataclass
class Counted:
    """An inner model: how often it was asked, and how many calls were out at one moment."""

    calls: int = 0
    out: int = 0
    most: int = 0
    name: str = "inner"
    streamed: list[bool] = field(default_factory=list)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.calls += 1
        self.out += 1
        self.most = max(self.most, self.out)
        self.streamed.append(on_delta is not None)
        try:
            await steps(5)
            if on_delta is not None:
                on_delta(Delta("Answer: 1"))
            return await ScriptedModel("Answer: 1").request(request)
        finally:
            self.out -= 1


def uses_tool(request: ModelRequest) -> str | Message:
    """The outer model's part: it calls the tool once, and passes on what that says."""
    if request.messages[-1].role == "tool":
        return request.messages[-1].text
    if request.tools:
        return Message.assistant("", (ToolCall(id="1", name="think", arguments="{}"),))
    return "merged"


def as_agent(inner: Mind, **outer: Any) -> Mind:
    return Contemplator(ScriptedModel("unused"), mode="instant", agent=inner, **outer)


def as_wrapped_agent(inner: Mind, **outer: Any) -> Mind:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return await inner(task, ctx)

    return Contemplator(ScriptedModel("unused"), mode="instant", agent=agent, **outer)


def as_samples(inner: Mind, **outer: Any) -> Mind:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="answer", prompt=question, kind="answer", samples=2)

    return Contemplator(ScriptedModel("unused"), planner=plan, aggregator=aggregators.first(), agent=inner, **outer)


def of_an_orchestrator(inner: Mind, **outer: Any) -> Mind:
    def lead(request: ModelRequest) -> str | Message:
        if any(message.role == "tool" for message in request.messages):
            return "done"
        return Message.assistant("", (ToolCall(id="1", name="spawn", arguments='{"title": "t", "prompt": "p"}'),))

    return Contemplator(
        ScriptedModel(lead), planner=planners.orchestrate(), aggregator=aggregators.first(), agent=inner, **outer
    )


def in_tool(think: Callable[[Mind], Callable[[], Any]]) -> Callable[..., Mind]:
    def make(inner: Mind, **outer: Any) -> Mind:
        agent = Agent(tools=[tool(name="think", description="Think.")(think(inner))])
        return Contemplator(ScriptedModel(uses_tool), mode="instant", agent=agent, **outer)

    return make


def async_tool(inner: Mind) -> Callable[[], Any]:
    async def think() -> str:
        return (await inner.run("q")).output

    return think


def sync_tool(inner: Mind) -> Callable[[], Any]:
    def think() -> str:
        return inner.run_sync("q").output

    return think


def tool_with_a_loop_of_its_own(inner: Mind) -> Callable[[], Any]:
    def think() -> str:
        return asyncio.run(inner.run("q")).output

    return think


def tool_that_blocks_the_loop(inner: Mind) -> Callable[[], Any]:
    async def think() -> str:
        return inner.run_sync("q").output

    return think


def in_planner(inner: Mind, **outer: Any) -> Mind:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="answer", prompt=(await inner.run(question)).output, kind="answer")

    return Contemplator(ScriptedModel("said"), planner=plan, aggregator=aggregators.first(), **outer)


async def part(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id="a", prompt=question)


def in_aggregator(inner: Mind, **outer: Any) -> Mind:
    async def conclude(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        async for _ in results:
            pass
        return (await inner.run(question)).output

    return Contemplator(ScriptedModel("said"), planner=part, aggregator=conclude, **outer)


WAYS: dict[str, Callable[..., Mind]] = {
    "agent": as_agent,
    "wrapped agent": as_wrapped_agent,
    "samples": as_samples,
    "orchestrator's subagent": of_an_orchestrator,
    "async tool": in_tool(async_tool),
    "sync tool": in_tool(sync_tool),
    "tool with a loop of its own": in_tool(tool_with_a_loop_of_its_own),
    "tool that blocks the loop": in_tool(tool_that_blocks_the_loop),
    "planner": in_planner,
    "aggregator": in_aggregator,
}
# What the outer model is asked beside the inner run, and how many inner runs there are.
OUTER_CALLS = {"orchestrator's subagent": 2, "planner": 1, "aggregator": 1} | {way: 2 for way in WAYS if "tool" in way}
INNER_RUNS = {"samples": 2}

every_way = pytest.mark.parametrize("way", WAYS)


def five(model: Counted, **more: Any) -> Mind:
    """Asks its model five times."""
    return Contemplator(model, planner=planners.sample(5), aggregator=aggregators.vote(stop=None), **more)


@every_way
async def test_its_own_limits_hold(way: str) -> None:
    model = Counted()
    result = await WAYS[way](five(model, limits=Limits(calls=2))).run("q")
    assert model.calls == 2 * INNER_RUNS.get(way, 1)
    assert result.usage.calls == model.calls + OUTER_CALLS.get(way, 0)


@every_way
async def test_its_own_concurrency_holds(way: str) -> None:
    model = Counted()
    await WAYS[way](five(model, limits=Limits(concurrency=2))).run("q")
    assert model.most == 2 * INNER_RUNS.get(way, 1)


@every_way
async def test_the_outer_limits_hold_over_it(way: str) -> None:
    model = Counted()
    # One call is kept for an aggregator that makes some, or does not say.
    limits = Limits(calls=5)
    try:
        usage = (await WAYS[way](five(model), limits=limits).run("q")).usage
    except ContemplateError as error:
        # Nothing was left for the outer model's last call.
        assert isinstance(error.partial, RunResult)
        assert "Limits.calls = 5" in str(error)
        usage = error.partial.usage
    assert 1 <= model.calls <= usage.calls <= 5


@every_way
async def test_the_outer_concurrency_holds_over_it(way: str) -> None:
    model = Counted()
    await WAYS[way](five(model), limits=Limits(concurrency=1)).run("q")
    # Of two samples, the second can change nothing.
    assert 5 <= model.calls <= 5 * INNER_RUNS.get(way, 1)
    assert model.most == 1


@every_way
async def test_its_events_reach_its_own_listeners_and_the_outer_ones(way: str) -> None:
    told_inner: list[Event] = []
    told_outer: list[Event] = []
    model = Counted()
    result = await WAYS[way](five(model, on_event=told_inner.append), on_event=told_outer.append).run("q")
    runs = INNER_RUNS.get(way, 1)
    assert sum(isinstance(event, TaskFinished) for event in told_inner) == 5 * runs
    within = [event for event in told_outer if event in told_inner and not isinstance(event, OutputDelta)]
    assert sum(isinstance(event, TaskFinished) for event in within) == 5 * runs
    assert sum(isinstance(event, ModelCalled) for event in within) == 5 * runs
    assert all(event.path for event in told_inner), "each says in which part of the tree it happened"
    paths = {event.path for event in within if isinstance(event, RunFinished)}
    assert len(paths) == runs, "each inner run has a path of its own"
    assert {event.run_id for event in told_outer} == {result.run_id}, "and all are of one run"


@every_way
async def test_pieces_of_its_answer_are_no_pieces_of_the_outer_answer(way: str) -> None:
    told: list[Event] = []
    inner = Contemplator(Counted(), mode="instant", stream=True)
    result = await WAYS[way](inner, on_event=told.append).run("q")
    written = ""
    for event in told:
        if isinstance(event, OutputDelta):
            assert event.path == ""
            written = event.text if event.restart else written + event.text
    assert written in ("", result.text)


@every_way
@pytest.mark.parametrize("stream", [True, False])
async def test_its_own_stream_setting_holds(way: str, stream: bool) -> None:
    model = Counted()
    told: list[Event] = []
    await WAYS[way](five(model, stream=stream), stream=not stream, on_event=told.append).run("q")
    assert set(model.streamed) == {stream}


@every_way
async def test_the_outer_deadline_holds_over_it(way: str) -> None:
    class Hanging(Counted):
        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            self.calls += 1
            await anyio.sleep_forever()
            raise AssertionError

    model = Hanging()
    seconds = 0.3
    # On a busy machine, the first deadlines may pass before the run within is there.
    while not model.calls and seconds < PATIENCE:
        with anyio.fail_after(PATIENCE):
            try:
                await WAYS[way](five(model), limits=Limits(seconds=seconds)).run("q")
            except Exception as error:
                assert "seconds" in str(error) or "answer" in str(error), error
        seconds *= 3
    assert model.calls >= 1


async def test_code_that_is_left_of_a_run_is_in_none() -> None:
    """A task that a tool has started, and that outlives its run, spends nothing of it."""
    later: list[Callable[[], Any]] = []
    gate = anyio.Event()
    done: list[Any] = []
    model = Counted()
    inner = five(model)

    async with anyio.create_task_group() as group:

        async def left_over() -> None:
            await gate.wait()
            done.append(await inner.run("q"))

        async def think() -> str:
            """Start something, and leave it behind."""
            group.start_soon(left_over)
            return "thought"

        outer = Contemplator(ScriptedModel(uses_tool), mode="instant", tools=[think], limits=Limits(calls=3))
        result = await outer.run("q")
        gate.set()
    assert not later
    assert (result.usage.calls, model.calls) == (2, 5)
    assert done[0].usage.calls == 5


async def test_a_planner_and_an_aggregator_can_stream() -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        async with ctx.stream("planner", ModelRequest((Message.user("plan"),))) as call:
            text = "".join([delta.text async for delta in call])
        yield Task(id="a", prompt=text)

    async def conclude(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        said = [result.text async for result in results]
        async with ctx.stream("aggregator", ModelRequest((Message.user(said[0]),))) as call:
            return "".join([delta.text async for delta in call])

    told: list[Event] = []
    model = ScriptedModel(lambda request: request.messages[-1].text.splitlines()[-1])
    result = await Contemplator(model, planner=plan, aggregator=conclude, on_event=told.append).run("q")
    assert result.output
    assert [event.name.role for event in told if isinstance(event, ModelCalled)] == [
        "planner",
        "subagent",
        "aggregator",
    ]
    assert [event.task_id for event in told if isinstance(event, TaskStarted)] == ["a"]


async def test_what_the_engine_writes_cannot_be_reached_through_a_context() -> None:
    seen: list[object] = []

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        seen.append(ctx)
        yield Task(id="a", prompt="x")

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        seen.append(ctx)
        return Answer("said")

    await Contemplator(ScriptedModel(""), planner=plan, agent=agent, aggregator=aggregators.first()).run("q")
    for ctx in seen:
        for name in ("record", "add", "finish_planning", "spawn", "expire", "outbox", "running", "best"):
            assert not hasattr(ctx, name), name
        for name in ("text", "messages", "inputs", "planned", "results", "tools", "question", "deadline"):
            if hasattr(ctx, name):
                with pytest.raises(AttributeError):
                    setattr(ctx, name, None)


@every_way
async def test_its_calls_are_in_usage_events_and_journal_alike(way: str) -> None:
    told: list[Event] = []
    journal = Journal()
    result = await WAYS[way](five(Counted()), on_event=told.append, journal=journal).run("q", run_id="r")
    called = [event for event in told if isinstance(event, ModelCalled)]
    entries = [each for each in journal.entries("r") if each.is_call and each.role != "tool"]
    assert result.usage == sum((event.usage for event in called), Usage())
    assert result.usage == sum((each.usage for each in entries), Usage())
    assert Counter(event.path for event in called) == Counter(each.path for each in entries)
    assert all(event.run_id == "r" for event in told)
    replayed = await WAYS[way](five(Counted()), journal=journal).replay("r")
    assert (replayed.text, replayed.usage) == (result.text, result.usage)


@pytest.mark.parametrize(("first", "second", "late"), [("1", "2", "1"), ("1", "2", "2"), ("1", "1", "any")])
async def test_a_tool_that_was_interrupted_asks_nothing_twice(first: str, second: str, late: str) -> None:
    """Whichever of two calls of one tool had returned: the run within the other one goes on where it was."""
    journal, asked, interrupted = Journal(), Counter[str](), anyio.Event()

    def outer_script(request: ModelRequest) -> Message | str:
        if request.messages[-1].role == "tool":
            return "done"
        calls = (ToolCall(id=str(i), name="think", arguments=each) for i, each in enumerate((first, second)))
        return Message.assistant("", tuple(calls))

    def inner_script(request: ModelRequest) -> str:
        asked[request.messages[-1].text] += 1
        return f"thought {asked.total()}"

    class Think(Tool):
        name, description, parameters = "think", "Think.", {"type": "object"}
        at_work = 0

        async def call(self, arguments: str) -> str:
            text = (await Contemplator(ScriptedModel(inner_script), mode="council").run(arguments)).text
            self.at_work += 1
            if self.at_work <= 2 and (arguments == late or (late == "any" and self.at_work == 2)):
                interrupted.set()
                await anyio.sleep_forever()
            return text

    think = Think.__new__(Think)
    mind = Contemplator(ScriptedModel(outer_script), mode="instant", tools=[think], journal=journal)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: mind.run("q", run_id="r"))
        await interrupted.wait()
        while not [each for each in journal.entries("r") if each.role == "tool"]:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    before = asked.copy()
    assert before.total() == 10
    assert (await mind.run("q", run_id="r")).text == "done"
    assert asked == before, "every answer was recorded"
    assert [each.outcome for each in journal.entries("r") if each.role == "tool"] == ["answered"] * 2


async def test_a_run_that_starts_in_a_cancelled_scope_is_cancelled_and_asks_nothing() -> None:
    model = Counted()
    inner = Contemplator(model, mode="instant")

    @tool
    async def starts() -> str:
        """Start a run too late."""
        with anyio.CancelScope() as scope:
            scope.cancel()
            await inner.run("q")
        return "cancelled" if scope.cancelled_caught else "went on"

    call = Message.assistant("", (ToolCall(id="c", name="starts", arguments="{}"),))
    mind = Contemplator(ScriptedModel([call, "x"]), mode="instant", tools=[starts], limits=Limits(seconds=600))
    result = await mind.run("q")
    assert [each.text for each in result.tasks[0].messages if each.role == "tool"] == ["cancelled"]
    assert model.calls == 0


@pytest.mark.parametrize(("left", "seconds"), [(math.inf, None), (100.0, 95.0), (10.0, 9.0)])
def test_a_run_within_another_ends_before_it(left: float, seconds: float | None) -> None:
    scope: Any = SimpleNamespace(blocked=SimpleNamespace(seconds=left))
    assert limits_within(Limits(seconds=None), scope).seconds == seconds
    assert limits_within(Limits(seconds=5), scope).seconds == 5


def test_runs_are_nested_so_deep_and_no_deeper() -> None:
    assert inner_depth(MAX_DEPTH - 1) == MAX_DEPTH
    with pytest.raises(ConfigurationError, match="nested more than 16 deep"):
        inner_depth(MAX_DEPTH)


@pytest.mark.parametrize("place", [0, 1])
def test_code_in_any_event_loop_is_known_to_be(place: int) -> None:
    async def main() -> bool:
        return _in_event_loop()

    assert anyio.run(main, backend=("asyncio", "trio")[place])
    assert not _in_event_loop()


def test_a_call_that_is_cut_off_costs_its_thoughts_too() -> None:
    meter = Meter(None)
    for delta in (Delta("abcd" * 5), Delta(reasoning="abcd" * 7), Delta("abcd" * 2, restart=True)):
        meter(delta)
    assert meter.text == "abcd" * 2
    assert meter.written == 56
    usage = meter.usage(10)
    assert (usage.calls, usage.input_tokens, usage.cost_usd) == (2, 20, None)


async def test_what_a_tool_says_of_its_progress_is_cut() -> None:
    said: list[Event] = []
    run: Any = SimpleNamespace(listening=True, emit=said.append, _calls=SimpleNamespace(over=False))
    ongoing = _OngoingCall(run, Task(id="a", prompt="?"), ToolCall(id="c", name="t", arguments="{}"))
    for text in ("x" * LONGEST_MESSAGE, "x" * (LONGEST_MESSAGE + 1)):
        ongoing.report("t", text)
    whole, cut = (each.message for each in said if isinstance(each, ToolProgress))
    assert whole == "x" * LONGEST_MESSAGE
    assert (len(cut), cut[-4:]) == (LONGEST_MESSAGE, "x...")


async def test_code_knows_whether_it_is_in_its_runs_event_loop() -> None:
    run: Any = SimpleNamespace(loop=anyio.lowlevel.current_token())
    activity: Any = None
    assert RunScope(run, "subagent", None, "a", activity).here
    run.loop = object()
    assert not RunScope(run, "subagent", None, "a", activity).here
