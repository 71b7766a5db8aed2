"""What is left of a limit is divided among what is still to come: some text comes back, and little is unspent."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contemplate import Agent, Contemplator, Limits, RunContext, RunResult, Task, Usage
from contemplate.aggregators import first, synthesize, vote
from contemplate.messages import Message, ToolCall
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.planners import direct, sample
from contemplate.prompts import render
from contemplate.run.planner_steps import FEW_TASKS
from contemplate.run.protocols import Aggregator, Planner
from contemplate.run.shares import MAX_OUTPUT_TOKENS

from .patience import PATIENCE

pytestmark = pytest.mark.anyio

CHARACTERS = 4
MERGED = 600


def look() -> str:
    """Look at it."""
    return "It is round. " * 10


def tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS)


class Obedient:
    """A model that plans a task for each of `wants`, writes as many tokens for it, and keeps to `max_tokens`.

    With tools, it writes `before_tool` tokens and a call of the first of them, reads the result, and then answers.
    """

    name = "obedient"

    def __init__(self, wants: Sequence[int], *, pieces: int = 1, before_tool: int = 0) -> None:
        self.wants = wants
        self.pieces = pieces
        self.before_tool = before_tool

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        await anyio.lowlevel.checkpoint()
        text, calls = self._text(request)
        prompt = sum(tokens(message.text) for message in request.messages)
        prompt += sum(tokens(tool.description + json.dumps(tool.parameters)) for tool in request.tools)
        if request.output_schema is not None:
            prompt += tokens(json.dumps(request.output_schema.schema))
        most = request.settings.max_tokens
        cut = most is not None and tokens(text) > most
        text, calls = (text[: (most or 0) * CHARACTERS], ()) if cut else (text, calls)
        if on_delta is not None:
            step = -(-len(text) // self.pieces) or 1
            for start in range(0, len(text), step):
                on_delta(Delta(text[start : start + step]))
                await anyio.lowlevel.checkpoint()
        return ModelResponse(
            message=Message.assistant(text, calls),
            finish="length" if cut else "tool_calls" if calls else "stop",
            usage=Usage(calls=1, input_tokens=prompt, output_tokens=tokens(text)),
            model=self.name,
        )

    def _text(self, request: ModelRequest) -> tuple[str, tuple[ToolCall, ...]]:
        if request.output_schema is not None:
            planned = [
                {"title": f"Part {i}", "prompt": f"Look at side {i} of it.", "needs": []}
                for i in range(len(self.wants))
            ]
            return json.dumps({"tasks": planned}), ()
        asked = "".join(message.text for message in request.messages if message.role == "user")
        number = re.search(r"Look at side (\d+) of it", asked)
        length = MERGED if "final answer" in request.messages[0].text else self.wants[int(number[1]) if number else 0]
        calls: tuple[ToolCall, ...] = ()
        if request.tools and request.tool_choice == "auto" and request.messages[-1].role != "tool":
            calls = (ToolCall(id="1", name=request.tools[0].name, arguments="{}"),)
            length = self.before_tool
        if request.messages[-1].text == render("continue_answer"):
            length = max(1, length - tokens(request.messages[-2].text))
        return ("word " * (length * CHARACTERS))[: length * CHARACTERS], calls


def check(result: RunResult[str], limit: int, spent: int, unspent: float = 1 / 4) -> None:
    assert result.text.strip()
    assert spent <= limit
    capped = [task for task in result.tasks if task.outcome == "capped"]
    if capped:
        # To go on with an answer, it is read again: what is less than that takes is of no use.
        to_read = min(tokens(task.text) for task in capped) if len({task.text for task in result.tasks}) > 1 else 0
        lengths = [(task.outcome, task.usage.output_tokens) for task in result.tasks]
        assert limit - spent <= limit * unspent + to_read, (limit, spent, lengths)
        assert not result.complete
        assert result.stopped_by is not None
    elif result.complete:
        assert result.stopped_by is None


@pytest.mark.parametrize("limit", [3000, 5000, 8000, 16_000, 20_000, 30_000, 50_000])
async def test_six_parts_that_want_more_than_there_is(limit: int) -> None:
    result = await Contemplator(Obedient([1500] * 6), limits=Limits(total_tokens=limit)).run("q")
    check(result, limit, result.usage.total_tokens)


async def test_one_long_part_among_short_ones_gets_what_they_leave() -> None:
    result = await Contemplator(Obedient([10, 10, 10, 1500, 10, 10]), limits=Limits(total_tokens=3000)).run("q")
    check(result, 3000, result.usage.total_tokens)
    assert result.tasks[3].usage.output_tokens > 2 * 126


async def test_an_answer_is_as_long_as_its_limit_allows() -> None:
    mind = Contemplator(Obedient([9000]), planner=direct(), aggregator=first())
    result = await mind.run("q", limits=Limits(total_tokens=12_537))
    assert (result.complete, result.usage.output_tokens) == (True, 9000)
    result = await mind.run("q", limits=Limits(total_tokens=8000))
    assert (result.complete, result.stopped_by) == (False, "total_tokens")
    assert result.usage.total_tokens > 7900


@given(
    limit=st.integers(3000, 60_000),
    parts=st.integers(1, 8),
    wanted=st.integers(10, 4000),
    pieces=st.sampled_from([1, 7, 40]),
    streamed=st.booleans(),
)
# The first part, asked before the others were known, took all there was.
@example(limit=15281, parts=7, wanted=199, pieces=7, streamed=True)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whatever_the_limit(backend: str, limit: int, parts: int, wanted: int, pieces: int, streamed: bool) -> None:
    async def main() -> RunResult[str]:
        model = Obedient([wanted] * parts, pieces=pieces)
        return await Contemplator(model, limits=Limits(total_tokens=limit), stream=streamed).run("q")

    result = anyio.run(main, backend=backend)
    # An answer that is cut off after tools have taken turns of unlike length may leave somewhat more.
    check(result, limit, result.usage.total_tokens, unspent=1 / 3)


@given(
    limit=st.integers(3000, 60_000),
    wants=st.lists(st.integers(10, 60) | st.integers(10, 9000), min_size=1, max_size=8),
    before_tool=st.none() | st.sampled_from([0, 40, 300]),
    pieces=st.sampled_from([1, 7]),
    streamed=st.booleans(),
)
@example(limit=3000, wants=[10, 10, 10, 1500], before_tool=None, pieces=1, streamed=False)
@example(limit=3000, wants=[1500, 1500], before_tool=40, pieces=1, streamed=False)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whatever_each_part_wants(
    backend: str, limit: int, wants: list[int], before_tool: int | None, pieces: int, streamed: bool
) -> None:
    async def main() -> RunResult[str]:
        model = Obedient(wants, pieces=pieces, before_tool=before_tool or 0)
        agent = Agent(tools=() if before_tool is None else [look])
        with anyio.fail_after(PATIENCE):
            return await Contemplator(model, agent=agent, limits=Limits(total_tokens=limit), stream=streamed).run("q")

    result = anyio.run(main, backend=backend)
    check(result, limit, result.usage.total_tokens)


@given(limit=st.integers(1500, 30_000), parts=st.integers(1, 8), wanted=st.integers(10, 4000), streamed=st.booleans())
@settings(max_examples=30, deadline=None)
def test_whatever_the_limit_on_output(limit: int, parts: int, wanted: int, streamed: bool) -> None:
    mind = Contemplator(Obedient([wanted] * parts, pieces=7), limits=Limits(output_tokens=limit), stream=streamed)
    result = mind.run_sync("q")
    check(result, limit, result.usage.output_tokens)


@given(limit=st.integers(5000, 100_000), parts=st.integers(1, 8), wanted=st.integers(10, 4000), streamed=st.booleans())
@settings(max_examples=20, deadline=None)
def test_runs_within_a_run_have_its_limit(limit: int, parts: int, wanted: int, streamed: bool) -> None:
    inner = Contemplator(Obedient([wanted] * parts, pieces=7), stream=streamed)
    outer = Obedient([wanted] * 2, pieces=7)
    result = Contemplator(outer, agent=inner, limits=Limits(total_tokens=limit), stream=streamed).run_sync("q")
    assert result.text.strip()
    assert result.usage.total_tokens <= limit
    assert not (result.complete and any(task.outcome == "capped" for task in result.tasks))


@pytest.mark.parametrize("limit", ["output_tokens", "total_tokens"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(count=st.integers(2, 12), wants=st.integers(80, 2000), room=st.floats(1.5, 30))
async def test_of_attempts_that_do_not_all_fit_fewer_are_whole(limit: str, count: int, wants: int, room: float) -> None:
    most = int(room * (wants + 100))
    mind = Contemplator(Obedient([wants]), planner=sample(count), aggregator=vote(stop=None))
    result = await mind.run("q", limits=Limits.model_validate({limit: most}))
    spent = result.usage.output_tokens if limit == "output_tokens" else result.usage.total_tokens
    whole = sum(task.outcome == "answered" for task in result.tasks)
    assert spent <= most
    # Nobody knows how long an attempt is before one is over: two may be cut off.
    assert whole >= min(count, max(1, int(room) - 2)), [
        (task.outcome, task.usage.output_tokens) for task in result.tasks
    ]
    assert result.complete == (whole == count)
    assert (result.stopped_by == limit) == (whole < count)


class Crowd:
    """A model that answers when `count` calls are there at the same time."""

    name = "crowd"

    def __init__(self, count: int) -> None:
        self.count = count
        self.rooms: list[int | None] = []
        self._there = anyio.Event()

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        self.rooms.append(request.settings.max_tokens)
        if len(self.rooms) >= self.count:
            self._there.set()
        await self._there.wait()
        usage = Usage(calls=1, input_tokens=10, output_tokens=1)
        return ModelResponse(message=Message.assistant("word"), finish="stop", usage=usage, model=self.name)


def planner_of(many: int, *, pauses: bool) -> Planner:
    async def planned(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number in range(many):
            yield Task(id=str(number), prompt=f"Say {number}.")
            if pauses:
                await anyio.lowlevel.checkpoint()

    return planned


@pytest.mark.parametrize(("many", "pauses"), [(200, False), (200, True), (2 * FEW_TASKS, False)])
@pytest.mark.parametrize("aggregator", [first(), synthesize()], ids=lambda each: type(each).__name__)
async def test_however_many_tasks_a_planner_has_none_waits_where_there_is_plenty(
    many: int, pauses: bool, aggregator: Aggregator
) -> None:
    model, planner = Crowd(many), planner_of(many, pauses=pauses)
    limits = Limits(total_tokens=many * 10**6, output_tokens=many * 10**6)
    with anyio.fail_after(PATIENCE):
        result = await Contemplator(model, planner=planner, aggregator=aggregator, limits=limits).run("q")
    assert result.complete
    assert all(4096 <= (room or 0) <= MAX_OUTPUT_TOKENS for room in model.rooms)


async def test_tasks_that_are_handed_out_at_once_have_equal_parts() -> None:
    many = FEW_TASKS - 1
    model, planner = Crowd(many), planner_of(many, pauses=False)
    with anyio.fail_after(PATIENCE):
        await Contemplator(model, planner=planner, aggregator=first(), limits=Limits(output_tokens=many * 5000)).run(
            "q"
        )
    assert model.rooms == [5000] * many
