"""contemplate, with what is named in `on`.

events      a listener that looks at each of them
limits      on time, tokens, calls and concurrency
logs        at level INFO, through structlog as it comes, formatted, and written nowhere
retry       `models.Retry` around the model
limiter     `models.Limit` around it, which never has to make a call wait
hedge       `models.Hedge` around it, which streams, and makes no second call
journal     in SQLite, on the disk
stream      calls are streamed
traces      spans are made, and sent nowhere
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from tempfile import TemporaryDirectory

from contemplate import Contemplator, Limits, RunContext, Task, TaskResult, aggregators
from contemplate.events import Event, TaskDelta
from contemplate.messages import Message
from contemplate.models import Hedge, Limit, Model, ModelRequest, OpenAIModel, Retry

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
    """`model` in the wrappers that are on, in the order that they are made for."""
    if "hedge" in on:
        model = Hedge(model, share=0)
    if "limiter" in on:
        model = Limit(model, requests_per_minute=10**8, tokens_per_minute=10**12, concurrency=10**5)
    return Retry(model) if "retry" in on else model


def traced() -> Callable[[Event], None]:
    """Return a listener that makes spans with OpenTelemetry's SDK, which are sent nowhere."""
    from opentelemetry.sdk.trace import TracerProvider

    from contemplate.otel import Traces

    return Traces(tracer_provider=TracerProvider())


@contextmanager
def logged() -> Iterator[None]:
    """Write logs at level INFO."""
    log = logging.getLogger("contemplate")
    with open(os.devnull, "w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            yield
        finally:
            log.setLevel(logging.NOTSET)
            log.removeHandler(handler)


@asynccontextmanager
async def opened(url: str, on: Collection[str] = ("events", "limits")) -> AsyncIterator[Ways]:
    """Ask `url`."""
    seen = 0

    def count(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, TaskDelta) and bool(event.text)

    with TemporaryDirectory() as folder, logged() if "logs" in on else nullcontext():
        model = wrapped(OpenAIModel(MODEL, base_url=url, api_key=KEY), on)
        mind = Contemplator(
            model,
            planner=planned,
            aggregator=aggregators.synthesize(),
            limits=LIMITS if "limits" in on else None,
            on_event=traced() if "traces" in on else count if "events" in on else None,
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
