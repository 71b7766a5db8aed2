"""What a tool is told of its call, in whatever form the tool comes, and what nobody else is told."""

from __future__ import annotations

import functools
import json
import logging
import math
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, dataclass
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest

from contemplate import (
    Agent,
    Contemplator,
    Limits,
    Message,
    Price,
    Returned,
    Task,
    Tool,
    ToolContext,
    aggregators,
    external_tool,
    planners,
    refined,
    strategies,
    tool,
)
from contemplate.contemplator.jobs import job_of
from contemplate.errors import ConfigurationError, ContemplateError, ToolError
from contemplate.events import Event, ToolFinished, ToolProgress, ToolStarted
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel
from contemplate.tools.tool import as_tool

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

SECRET = "hunter2-secret"


@dataclass
class Deps:
    user: str
    password: str = SECRET


def calls(name: str, **arguments: Any) -> Message:
    return Message.assistant("", (ToolCall(id="c1", name=name, arguments=json.dumps(arguments)),))


def using(name: str, **arguments: Any) -> ScriptedModel:
    """A model that calls `name` once in each task, and then answers with what it was told."""

    def script(request: ModelRequest) -> Message | str:
        last = request.messages[-1]
        return f"Answer: {last.text}" if last.role == "tool" else calls(name, **arguments)

    return ScriptedModel(script)


# In whatever form a tool comes


async def orders(ctx: ToolContext[Deps], since: int = 1) -> str:
    """Return the user's orders.

    Args:
        ctx: not for the model.
        since: a year.
    """
    return f"{ctx.deps.user} since {since}"


def in_a_thread(ctx: ToolContext[Deps], since: int = 1) -> str:
    assert threading.current_thread() is not threading.main_thread()
    return f"{ctx.deps.user} since {since}"


def by_name(*, context: Annotated[ToolContext[Deps], "the call"], since: int = 1) -> str:
    return f"{context.deps.user} since {since}"


def by_place(_: ToolContext[Deps] | None, /, since: int = 1) -> str:
    assert _ is not None
    return f"{_.deps.user} since {since}"


def bare(c: ToolContext, since: int = 1) -> str:
    return f"{c.deps.user} since {since}"


def prefixed(word: str, ctx: ToolContext[Deps], since: int = 1) -> str:
    return f"{ctx.deps.user} {word} {since}"


class Shop:
    async def orders(self, ctx: ToolContext[Deps], since: int = 1) -> str:
        return f"{ctx.deps.user} since {since}"

    async def __call__(self, ctx: ToolContext[Deps], since: int = 1) -> str:
        return f"{ctx.deps.user} since {since}"


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return inner


FORMS: dict[str, Any] = {
    "async": orders,
    "plain": in_a_thread,
    "by name": by_name,
    "by place": by_place,
    "bare": bare,
    "partial": functools.partial(prefixed, "since"),
    "method": Shop().orders,
    "object": Shop(),
    "wrapped": wrapped(orders),
    "tool": tool(orders),
    "named tool": tool(name="other")(orders),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_each_gets_it_and_no_model_sees_it(form: Any) -> None:
    made = form if isinstance(form, Tool) else Tool(form, name="orders")
    properties: Any = made.parameters["properties"]
    assert list(properties) == ["since"]
    assert made.signature == f"{made.name}(since: int = 1)"
    model = using(made.name, since=5)
    result = await Contemplator(model, mode="instant", tools=[made]).run("?", deps=Deps("alice"))
    assert result.output == "Answer: alice since 5"
    assert made.within(ToolContext.of(Deps("bob"))) is not made


async def test_the_words_for_the_model_are_without_it() -> None:
    made = as_tool(orders)
    assert made.description == "Return the user's orders."
    assert "ctx" not in json.dumps(made.parameters)


async def test_a_tool_that_asks_for_none_is_as_it_was() -> None:
    @tool
    def plain(ctx: str) -> str:
        return ctx

    assert plain.within(ToolContext.of(Deps("x"))) is plain
    assert list(plain.parameters["properties"]) == ["ctx"]  # type: ignore[arg-type]
    assert await plain.call('{"ctx": "hi"}') == "hi"
    with pytest.raises(ToolError, match="since"):
        await as_tool(orders).within(ToolContext.of(Deps("x"))).call('{"since": "y"}')


def second(since: int, ctx: ToolContext[Deps]) -> None: ...
def two(ctx: ToolContext[Deps], other: ToolContext[Deps]) -> None: ...
def many(ctx: list[ToolContext[Deps]]) -> None: ...
def either(ctx: ToolContext[Deps] | int) -> None: ...
def deep(ctx: ToolContext[Deps], more: dict[str, ToolContext[Deps]]) -> None: ...


@pytest.mark.parametrize("wrong", [second, two, many, either, deep])
def test_it_comes_first_and_once(wrong: Callable[..., None]) -> None:
    with pytest.raises(ConfigurationError, match=rf"tool '{wrong.__name__}'.*as its first parameter"):
        Contemplator(ScriptedModel("x"), tools=[wrong])


# What it says


async def test_it_names_run_task_and_call() -> None:
    seen: list[ToolContext[None]] = []

    async def look(ctx: ToolContext[None]) -> str:
        seen.append(ctx)
        return "x"

    model = using("look")
    result = await Contemplator(model, mode="vote", tools=[look]).run("?", run_id="mine")
    assert {(each.run_id, each.path, each.tool, each.call_id) for each in seen} == {("mine", "", "look", "c1")}
    assert {each.task.id for each in seen} == {each.id for each in result.tasks}
    with pytest.raises(FrozenInstanceError):
        seen[0].run_id = "other"  # type: ignore[misc]
    seen.clear()
    mind = Contemplator(using("look"), planner=two_samples, tools=[look], aggregator=aggregators.first())
    await mind.run("?")
    assert {(each.path, each.task.id) for each in seen} == {("1", "sample-1"), ("1", "sample-2")}


async def two_samples(question: str, ctx: object) -> Any:
    yield Task(id="1", prompt=question, kind="candidate", samples=2)


@pytest.mark.parametrize("threaded", [False, True])
async def test_what_is_left_of_the_limits(threaded: bool) -> None:
    seen: list[tuple[float, ...]] = []

    def look(ctx: ToolContext[None]) -> str:
        assert (threading.current_thread() is threading.main_thread()) is not threaded
        seen.append((ctx.seconds_left, ctx.calls_left, ctx.tokens_left, ctx.cost_usd_left))
        return "x"

    async def looking(ctx: ToolContext[None]) -> str:
        return look(ctx)

    looking.__name__ = "look"
    model = using("look")
    model.price = Price(input=1.0, output=1.0)
    used = look if threaded else looking
    mind = Contemplator(model, mode="instant", tools=[used])
    await mind.run("?")
    limits = Limits(seconds=600, calls=5, total_tokens=50_000, cost_usd=2)
    result = await mind.run("Why? " * 100, limits=limits)
    first = result.tasks[0].usage
    assert seen[0] == (math.inf,) * 4
    seconds, calls_left, tokens, usd = seen[1]
    assert 0 < seconds <= 600
    assert calls_left == 4
    assert 50_000 - first.total_tokens <= tokens < 50_000
    assert 2 - (first.cost_usd or 0) <= usd < 2


async def test_limits_of_all_runs_around_hold() -> None:
    seen: list[float] = []

    async def look(ctx: ToolContext[None]) -> str:
        seen.append(ctx.tokens_left)
        return "x"

    inner = Contemplator(using("look"), mode="instant", tools=[look], limits=Limits(total_tokens=90_000))
    await Contemplator(ScriptedModel("x"), mode="instant", agent=inner, limits=Limits(total_tokens=50_000)).run(
        "Why? " * 100
    )
    assert 40_000 < seen[0] < 50_000


async def test_outside_of_a_run() -> None:
    context = ToolContext.of(Deps("bob"))
    assert await as_tool(orders).within(context).call("{}") == "bob since 1"
    assert await orders(context, 3) == "bob since 3"
    assert (context.seconds_left, context.calls_left, context.tokens_left, context.cost_usd_left) == (math.inf,) * 4
    await context.progress("nobody hears it")
    with pytest.raises(ConfigurationError, match=r"tool 'orders' asks for deps.*run\(deps=\.\.\.\)"):
        await as_tool(orders).call("{}")


# deps


async def test_without_deps() -> None:
    async def needy(ctx: ToolContext[Deps]) -> str:
        return ctx.deps.user

    async def without(ctx: ToolContext[None]) -> str:
        return f"{ctx.deps}"

    async def perhaps(ctx: ToolContext[Deps | None]) -> str:
        return f"{ctx.deps}"

    for each, told in ((without, "Answer: None"), (perhaps, "Answer: None")):
        assert (await Contemplator(using(each.__name__), mode="instant", tools=[each]).run("?")).output == told

    async def bare(ctx: ToolContext) -> str:
        return f"{ctx.deps}"

    output = (await Contemplator(using("bare"), mode="instant", tools=[bare]).run("?")).output
    assert "ConfigurationError: tool 'bare' asks for deps, and the run was given none" in output


async def test_deps_that_will_be_missed_are_asked_for_before_anything_is_paid() -> None:
    model = using("orders")
    mind = Contemplator(model, mode="instant", tools=[orders, external_tool("ask_ann")])
    for start in (
        mind.run("?"),
        Contemplator(model, mode="refine", agent=mind).run("?"),
        Contemplator(model, mode="instant", agent=refined(Agent(tools=[orders]))).run("?"),
        Contemplator(model, mode="instant").run("?", tools=[orders]),
    ):
        with pytest.raises(ConfigurationError, match=r"orders: asks for deps.*run\(deps=\.\.\.\)"):
            await start
    with pytest.raises(ConfigurationError, match="asks for deps"):
        async with mind.stream("?") as run:
            async for _ in run:
                pass
    assert mind.estimate("?").calls
    assert model.requests == []


async def test_a_run_is_resumed_with_deps_and_replayed_without() -> None:
    ann = external_tool("ask_ann")
    model = ScriptedModel(
        [
            Message.assistant("", (*calls("orders").tool_calls, ToolCall(id="c2", name="ask_ann", arguments="{}"))),
            "Done.",
        ]
    )
    mind = Contemplator(model, mode="instant", tools=[orders, ann], journal="memory:")
    waiting = await mind.run("?", deps=Deps("alice"), run_id="r")
    decided = {waiting.pending[0].id: Returned("yes")}
    with pytest.raises(ConfigurationError, match="asks for deps"):
        await mind.resume("r", decided)
    done = await mind.resume("r", decided, deps=Deps("alice"))
    assert (await mind.replay("r")).output == done.output


async def test_a_partial_has_its_functions_name() -> None:
    assert tool(functools.partial(prefixed, "since")).name == "prefixed"
    assert tool(functools.partial(functools.partial(prefixed), "since")).name == "prefixed"


@pytest.mark.parametrize("given", [0, "", {}, False])
async def test_what_is_empty_is_given_all_the_same(given: Any) -> None:
    async def look(ctx: ToolContext[Any]) -> str:
        return repr(ctx.deps)

    output = (await Contemplator(using("look"), mode="instant", tools=[look]).run("?", deps=given)).output
    assert output == f"Answer: {given!r}"


async def test_runs_within_inherit_them() -> None:
    inner = Contemplator(using("orders"), mode="vote", tools=[orders], journal="memory:")
    outer = Contemplator(ScriptedModel("x"), planner=two_samples, agent=inner, aggregator=aggregators.first())
    assert (await outer.run("?", deps=Deps("alice"))).output.endswith("alice since 1")

    async def ask(ctx: ToolContext[Deps]) -> str:
        inherited = await inner.run("?")
        own = await inner.run("?", deps=Deps("bob"))
        return f"{inherited.output} / {own.output} / {ctx.deps.user}"

    def ask_in_thread(ctx: ToolContext[Deps]) -> str:
        return f"{inner.run_sync('?').output} / {inner.run_sync('?', deps=Deps('bob')).output} / {ctx.deps.user}"

    def blocking(ctx: ToolContext[Deps]) -> str:
        return ask_in_thread(ctx)

    async def ask_blocked(ctx: ToolContext[Deps]) -> str:
        return blocking(ctx)

    for each in (ask, ask_in_thread, ask_blocked):
        result = await Contemplator(using(each.__name__), mode="instant", tools=[each]).run("?", deps=Deps("carol"))
        assert result.output == "Answer: Answer: carol since 1 / Answer: bob since 1 / carol"


async def test_two_runs_at_once_have_each_their_own() -> None:
    mind = Contemplator(using("orders"), mode="vote", tools=[orders])
    outputs: dict[str, str] = {}

    async def run(user: str) -> None:
        outputs[user] = (await mind.run("?", deps=Deps(user))).output

    async with anyio.create_task_group() as group:
        for user in ("alice", "bob"):
            group.start_soon(run, user)
    assert outputs == {user: f"Answer: {user} since 1" for user in ("alice", "bob")}


async def test_a_stream_takes_them() -> None:
    mind = Contemplator(using("orders"), mode="instant", tools=[orders])
    async with mind.stream("?", deps=Deps("alice")) as run:
        async for _ in run:
            pass
    assert run.result.output == "Answer: alice since 1"


async def test_deps_are_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    events: list[Event] = []
    shown: list[str] = []
    deps = Deps("ali" + "ce")

    async def fail(ctx: ToolContext[Deps]) -> str:
        await ctx.progress("failing")
        shown.append(repr(ctx))
        shown.append(repr(as_tool(fail).within(ctx)))
        raise ToolError("no")

    model = using("fail")
    mind = Contemplator(model, mode="vote", tools=[fail], on_event=events.append, journal="memory:")
    result = await mind.run("?", deps=deps, run_id="r")
    with pytest.raises(ConfigurationError) as caught:
        await mind.run("?", deps=deps, limits={"calls": 1})  # type: ignore[call-overload]
    with pytest.raises(TypeError) as other:
        await mind.run("?", deps=deps, dep=deps)  # type: ignore[call-overload]
    broken = Contemplator(ScriptedModel([]), mode="instant", tools=[fail])
    with pytest.raises(ContemplateError) as third:
        await broken.run("?", deps=deps)
    assert mind.journal is not None
    record = mind.journal.load("r")
    assert record is not None
    said = [repr(result), result.model_dump_json(), record.model_dump_json(), repr(mind), repr(model.requests)]
    said += [each.model_dump_json() for each in mind.journal.entries("r")]
    said += [each.model_dump_json() for each in events] + [each.getMessage() for each in caplog.records] + shown
    said += ["".join(traceback.format_exception(each.value)) for each in (caught, other, third)]
    said.append(repr(job_of(mind._each_run, "?", deps=deps)))
    assert deps.user not in "".join(said)
    assert SECRET not in "".join(said)


# Progress


def told(events: Sequence[Event]) -> list[str]:
    """The tool events of a run, in a word or two each."""
    return [
        each.message if isinstance(each, ToolProgress) else each.kind
        for each in events
        if isinstance(each, ToolStarted | ToolProgress | ToolFinished)
    ]


@pytest.mark.parametrize("threaded", [False, True])
async def test_progress_is_an_event_of_its_call(threaded: bool) -> None:
    events: list[Event] = []
    threads: set[int] = set()

    def plain(ctx: ToolContext[None]) -> str:
        ctx.progress("asking")
        ctx.progress("found")
        return "x"

    async def waiting(ctx: ToolContext[None]) -> str:
        await ctx.progress("asking")
        await ctx.progress("found")
        return "x"

    def hear(event: Event) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    used = tool(name="look")(plain if threaded else waiting)
    result = await Contemplator(using("look"), mode="instant", tools=[used], on_event=hear).run("?", run_id="r")
    assert told(events) == ["tool_started", "asking", "found", "tool_finished"]
    heard = [each for each in events if isinstance(each, ToolProgress)]
    assert {(each.run_id, each.path, each.tool, each.call_id) for each in heard} == {("r", "", "look", "c1")}
    assert {each.task_id for each in heard} == {result.tasks[0].id}
    assert threads == {threading.get_ident()}


async def test_progress_is_short_and_readable() -> None:
    events: list[Event] = []

    async def look(ctx: ToolContext[None]) -> str:
        await ctx.progress("y" * 10_000)
        await ctx.progress("a\ud800b")
        await ctx.progress(5)  # type: ignore[arg-type]
        return "x"

    await Contemplator(using("look"), mode="instant", tools=[look], on_event=events.append).run("?")
    assert told(events)[1:-1] == ["y" * 497 + "...", "a\ufffdb", "5"]


async def test_nobody_listens() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("nobody listens")

    async def look(ctx: ToolContext[None]) -> str:
        await ctx.progress(Costly())  # type: ignore[arg-type]
        return "x"

    assert (await Contemplator(using("look"), mode="instant", tools=[look]).run("?")).output == "Answer: x"


async def test_awaiting_it_lets_others_have_a_turn() -> None:
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    async def look(ctx: ToolContext[None]) -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(other)
            await ctx.progress("x")
            await ctx.progress("x")
            turns.append("look")
        return "x"

    await Contemplator(using("look"), mode="instant", tools=[look]).run("?")
    assert turns == ["other", "look"]


async def test_a_call_from_the_journal_tells_of_no_progress() -> None:
    events: list[Event] = []

    async def look(ctx: ToolContext[None]) -> str:
        await ctx.progress("asking")
        return "x"

    mind = Contemplator(using("look"), mode="instant", tools=[look], on_event=events.append, journal="memory:")
    await mind.run("?", run_id="r")
    assert told(events) == ["tool_started", "asking", "tool_finished"]
    events.clear()
    await mind.replay("r")
    assert told(events) == ["tool_started", "tool_finished"]


async def test_after_its_call_a_tool_says_nothing_more() -> None:
    events: list[Event] = []
    kept: list[ToolContext[None]] = []

    async def look(ctx: ToolContext[None]) -> str:
        kept.append(ctx)
        return "x"

    def script(request: ModelRequest) -> Message | str:
        for each in kept:
            each.progress("too late")
        return calls("look") if request.messages[-1].role != "tool" else "done"

    mind = Contemplator(ScriptedModel(script), mode="instant", tools=[look], on_event=events.append)
    await mind.run("?")
    await kept[0].progress("much too late")
    assert told(events) == ["tool_started", "tool_finished"]


async def test_a_thread_that_was_left_behind_says_nothing_more() -> None:
    events: list[Event] = []
    started, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def look(ctx: ToolContext[None]) -> str:
        ctx.progress("asking")
        started.set()
        go_on.wait(PATIENCE)
        ctx.progress("too late")
        over.set()
        return "x"

    mind = Contemplator(using("look"), mode="instant", tools=[look], on_event=events.append)
    async with anyio.create_task_group() as group:
        group.start_soon(mind.run, "?")
        assert await anyio.to_thread.run_sync(started.wait, PATIENCE)
        group.cancel_scope.cancel()
    go_on.set()
    assert await anyio.to_thread.run_sync(over.wait, PATIENCE)
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    assert "too late" not in told(events)


async def test_in_programs() -> None:
    pytest.importorskip("pydantic_monty")
    events: list[Event] = []

    async def price(ctx: ToolContext[Deps], fruit: str) -> int:
        """Return the price."""
        await ctx.progress(f"asking for {fruit}")
        return len(fruit) if ctx.deps.user == "alice" else 0

    program = "```python\nfrom tools import price\nprint(price('pear') + price(fruit='apple'))\n```"
    model = ScriptedModel(program)
    planner = planners.sample(1, strategies=[strategies.code])
    mind = Contemplator(model, planner=planner, agent=Agent(tools=[price]), mode="vote", on_event=events.append)
    result = await mind.run("?", deps=Deps("alice"))
    assert "Answer: 9" in result.text
    assert "price(fruit: str): Return the price." in model.requests[0].messages[-1].text
    heard = [(each.tool, each.call_id, each.message) for each in events if isinstance(each, ToolProgress)]
    assert heard == [("price", "program-1", "asking for pear"), ("price", "program-1", "asking for apple")]
