"""contemplate, with what is named in `on`: events, limits, journal, stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

from contemplate import Contemplator, Limits, RunContext, Task, TaskResult, aggregators
from contemplate.events import Event, TaskDelta
from contemplate.messages import Message
from contemplate.models import ModelRequest, OpenAIModel

from . import KEY, MODEL, QUESTION, Ways, parts

LIMITS = Limits(seconds=600, total_tokens=10**9, calls=10**6, concurrency=10**5)


async def planned(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    """One call, then as many tasks as the run's label says."""
    await ctx.call("planner", ModelRequest((Message.user(question),)))
    async for task in unplanned(question, ctx):
        yield task


async def unplanned(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    """As many tasks as the question says."""
    for i, part in enumerate(parts(int(question.split()[-1]))):
        yield Task(id=str(i), prompt=part, kind="candidate")


async def last(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    """Whatever was answered last."""
    return [result.text async for result in results][-1]


@asynccontextmanager
async def opened(url: str, on: Collection[str] = ("events", "limits")) -> AsyncIterator[Ways]:
    """Ask `url`."""
    seen = 0

    def count(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, TaskDelta) and bool(event.text)

    with TemporaryDirectory() as folder:
        model = OpenAIModel(MODEL, base_url=url, api_key=KEY)
        mind = Contemplator(
            model,
            planner=planned,
            aggregator=aggregators.synthesize(),
            limits=LIMITS if "limits" in on else None,
            on_event=count if "events" in on else None,
            stream="stream" in on,
            journal=f"sqlite:///{folder}/runs.db" if "journal" in on else None,
        )
        reader = Contemplator(model, planner=unplanned, aggregator=last, limits=LIMITS, stream=True, on_event=count)
        async with mind, reader:

            async def fan_out(n: int) -> None:
                assert (await mind.run(f"{QUESTION} {n}")).complete

            async def stream(n: int) -> int:
                before = seen
                assert (await reader.run(f"{QUESTION} {n}")).complete
                return seen - before

            yield fan_out, stream
