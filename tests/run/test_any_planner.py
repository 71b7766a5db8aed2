"""Whatever a planner does between its tasks, a run with limits ends, within them, and nobody in it waits for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import count

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contemplate import Answer, Contemplator, Limits, Message, RunContext, RunResult, Task, TaskContext, Usage
from contemplate.aggregators import synthesize
from contemplate.errors import ContemplateError
from contemplate.events import CallQueued, Event
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.run.protocols import Planner

from ..patience import PATIENCE

STEPS = ("task", "five tasks", "offer", "turn", "call", "stream", "task in stream", "beside", "thread", "finished")
GIVING = {"task", "five tasks", "offer", "task in stream"}
PLENTY = Limits(total_tokens=10**9, calls=10**6)
ASKED = ModelRequest((Message.user("plan"),))


class Brief:
    """A model that writes two tokens."""

    name = "brief"

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        await anyio.lowlevel.checkpoint()
        usage = Usage(calls=1, input_tokens=10, output_tokens=2)
        return ModelResponse(message=Message.assistant("word"), finish="stop", usage=usage, model=self.name)


async def subagent(task: Task, ctx: TaskContext) -> Answer:
    if task.prompt == "offer":
        ctx.offer(Answer("early"))
    for _ in range(2):
        await ctx.call(ModelRequest((Message.user("x"),)))
    return Answer("ok")


async def aside(step: str, ctx: RunContext, last: str | None) -> None:
    """Do what hands out no task."""
    match step:
        case "turn":
            await anyio.lowlevel.checkpoint()
        case "call":
            await ctx.call("planner", ASKED)
        case "stream":
            async with ctx.stream("planner", ASKED) as call:
                async for _ in call:
                    pass
        case "beside":
            async with anyio.create_task_group() as group:
                group.start_soon(ctx.call, "planner", ASKED)
                await aside("finished", ctx, last)
        case "thread":
            await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(ctx.call, "planner", ASKED))
        case "finished" if last is not None:
            await ctx.finished(last)


def planner_of(steps: Sequence[str], *, fails: bool, waits_at_the_end: bool) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        numbers, last = count(), None
        try:
            for step in steps:
                if step == "task in stream":
                    async with ctx.stream("planner", ASKED) as call:
                        async for _ in call:
                            last = str(next(numbers))
                            yield Task(id=last, prompt="p")
                for _ in range({"task": 1, "offer": 1, "five tasks": 5}.get(step, 0)):
                    last = str(next(numbers))
                    yield Task(id=last, prompt=step)
                await aside(step, ctx, last)
            if fails:
                raise RuntimeError("no more")
        finally:
            if waits_at_the_end and last is not None and ctx.is_planned(last):
                await ctx.finished(last)

    return plan


@given(
    steps=st.lists(st.sampled_from(STEPS), max_size=8),
    fails=st.booleans(),
    waits_at_the_end=st.booleans(),
    limits=st.just(PLENTY)
    | st.builds(
        Limits,
        total_tokens=st.none() | st.sampled_from([200, 3000, 20_000]),
        calls=st.none() | st.integers(1, 12),
        tasks=st.none() | st.integers(1, 6),
        concurrency=st.none() | st.integers(1, 3),
    ),
)
@example(steps=["task", "beside"], fails=False, waits_at_the_end=False, limits=PLENTY)
@example(steps=["five tasks", "offer", "stream"], fails=False, waits_at_the_end=False, limits=PLENTY)
@example(steps=["five tasks"], fails=False, waits_at_the_end=True, limits=Limits(total_tokens=3000, tasks=2))
@example(steps=["call", "task"], fails=False, waits_at_the_end=False, limits=Limits(total_tokens=20_000, calls=1))
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_any_planner(backend: str, steps: list[str], fails: bool, waits_at_the_end: bool, limits: Limits) -> None:
    events: list[Event] = []

    async def main() -> RunResult[str] | None:
        planner = planner_of(steps, fails=fails, waits_at_the_end=waits_at_the_end)
        mind = Contemplator(Brief(), planner=planner, agent=subagent, aggregator=synthesize(), limits=limits)
        with anyio.fail_after(PATIENCE):
            try:
                return await mind.run("q", on_event=events.append)
            except ContemplateError as error:
                return error.partial

    result = anyio.run(main, backend=backend)
    if result is not None:
        assert result.usage.total_tokens <= (limits.total_tokens or 10**9)
        assert result.usage.calls <= (limits.calls or 10**6)
    if limits == PLENTY:
        assert fails or not GIVING.intersection(steps) or (result is not None and result.complete)
        if backend == "asyncio":
            # Trio lets others go on before it says that a planner waits, so that they wait for a moment.
            assert not any(isinstance(event, CallQueued) for event in events)
