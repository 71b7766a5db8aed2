"""contemplate, with what is named in `on`: events, limits, journal, stream, limiter, hedge, retry, warm, logs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import ExitStack, asynccontextmanager
from tempfile import TemporaryDirectory

from contemplate import Contemplator, Limits, RunContext, Task, TaskResult, aggregators
from contemplate.events import Event, TaskDelta
from contemplate.messages import Message
from contemplate.models import Hedge, Limit, Model, ModelRequest, OpenAIModel, Retry, Warm

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


def wrapped(model: Model, on: Collection[str]) -> Model:
    """`model` with the wrappers that are named in `on`, in the order that the docs advise."""
    if "hedge" in on:
        model = Hedge(model)
    if "limiter" in on:
        model = Limit(model, requests_per_minute=10**9, tokens_per_minute=10**12, concurrency=10**5)
    if "warm" in on:
        model = Warm(model)
    return Retry(model) if "retry" in on else model


def log_to(path: str) -> Callable[[], None]:
    """Write all that a run logs into a file; what is returned closes it."""
    handler = logging.FileHandler(path)
    log = logging.getLogger("contemplate")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    return handler.close


@asynccontextmanager
async def opened(url: str, on: Collection[str] = ("events", "limits")) -> AsyncIterator[Ways]:
    """Ask `url`."""
    seen = 0

    def count(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, TaskDelta) and bool(event.text)

    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        model = wrapped(OpenAIModel(MODEL, base_url=url, api_key=KEY), on)
        if "logs" in on:
            stack.callback(log_to(f"{folder}/log"))
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
