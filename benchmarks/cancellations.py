"""Runs that are cancelled from outside at a random moment: `python -m benchmarks.cancellations --runs 10000`.

Half of them on asyncio and half on trio; the moment is a number of steps of the event loop, or milliseconds where the
model is a real server on loopback. After each: no task is left, no call is out at the model, the ledger is balanced,
and the wrappers have room for as many calls as before. The same seed gives the same runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import anyio
import anyio.lowlevel

from contemplate import Contemplator, Limits, Message, RunContext, Task, aggregators, planners
from contemplate.errors import ContemplateError, ModelServerError
from contemplate.events import Event
from contemplate.messages import ToolCall
from contemplate.models import DeltaSink, Fallback, Hedge, Limit, Model, ModelRequest, ModelResponse, OpenAIModel, Retry
from contemplate.models.wrappers.hedge import OBSERVATIONS_NEEDED
from contemplate.models.wrappers.rate_limit.limit import _gates
from contemplate.models.wrappers.rate_limit.local_gate import LocalGate
from contemplate.run.protocols import Planner
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.testing.faulty import ChatAnswer, Exchange

MOST_STEPS = 60
MOST_SECONDS = 0.04
SECONDS_TO_HANG = 10.0
PLAN = json.dumps(
    {"tasks": [{"title": f"T{i}", "prompt": f"Do {i}.", "needs": [1] if i == 3 else []} for i in (1, 2, 3)]}
)


async def steps(count: int) -> None:
    """Let everyone else take `count` steps."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


class Counted:
    """A model that counts the calls that are out."""

    def __init__(self, inner: Model) -> None:
        self.inner, self.name, self.out = inner, inner.name, 0

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`."""
        self.out += 1
        try:
            return await self.inner.request(request, on_delta)
        finally:
            self.out -= 1


async def slow(n: int) -> int:
    """Be slow."""
    await steps(n)
    return n


def scripted(rng: random.Random) -> ScriptedModel:
    """A model that takes some steps, and sometimes fails."""

    async def script(request: ModelRequest) -> str | Message | Exception:
        await steps(rng.randrange(6))
        if rng.random() < 0.1:
            return ModelServerError("overloaded", model="scripted", retry_after=0.0)
        if request.tools and request.messages[-1].role != "tool":
            calls = (ToolCall(id=str(i), name="slow", arguments=json.dumps({"n": i + 1})) for i in range(2))
            return Message.assistant("", tuple(calls))
        return PLAN if request.output_schema is not None else "It is so, for many reasons.\nAnswer: 4"

    return ScriptedModel(script)


def hasty(model: Model) -> Hedge:
    """A hedge that has seen so many instant answers that it finds every call late."""
    hedge = Hedge(model, share=1.0)
    hedge._first_tokens.extend([0.0] * OBSERVATIONS_NEEDED)
    return hedge


WRAPPERS: dict[str, Callable[[Model], Model]] = {
    "bare": lambda model: model,
    "retry": lambda model: Retry(model, attempts=3),
    "limit": lambda model: Limit(model, concurrency=2, account="limit"),
    "hedge": lambda model: hasty(model),
    "fallback": lambda model: Fallback([model, ScriptedModel("Answer: 5")]),
    "all": lambda model: Retry(
        Limit(hasty(Fallback([model, ScriptedModel("Answer: 5")])), concurrency=3, account="all"), attempts=2
    ),
}
WAYS: dict[str, Callable[[], dict[str, Any]]] = {
    "plan": lambda: {"planner": planners.model(), "aggregator": aggregators.synthesize()},
    "vote": lambda: {"planner": planners.sample(5), "aggregator": aggregators.vote()},
    "synthesis": lambda: {"planner": planners.sample(3), "aggregator": aggregators.synthesize()},
    "tools": lambda: {"planner": planners.sample(2), "aggregator": aggregators.synthesize(), "tools": [slow]},
    "direct": lambda: {"planner": planners.direct(), "aggregator": aggregators.first()},
    "limits": lambda: {
        "planner": planners.sample(6),
        "aggregator": aggregators.vote(stop=None),
        "limits": Limits(concurrency=2, total_tokens=3000, calls=9, seconds=1000),
    },
}


@dataclass
class Report:
    """What happened."""

    endings: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


class Run:
    """One run, and what must hold once it is over."""

    def __init__(self, model: Model, wrapper: str, way: str, watched: bool) -> None:
        self.counted = Counted(model)
        self.events: list[Event] = []
        self._ctx: RunContext | None = None
        made = WAYS[way]()
        planner: Planner = made.pop("planner")

        def plan(question: str, ctx: RunContext) -> Any:
            self._ctx = ctx
            return planner(question, ctx)

        listener = self.events.append if watched else None
        self.mind: Contemplator[Any] = Contemplator(
            WRAPPERS[wrapper](self.counted), planner=plan, on_event=listener, **made
        )

    async def go(self) -> str:
        """Run it to its end, and say what that was."""
        try:
            await self.mind.run("q")
        except ContemplateError:
            return "failed"
        return "over"

    def left(self, tasks_before: set[int]) -> list[str]:
        """What it left behind."""
        found = []
        if {task.id for task in anyio.get_running_tasks()} - tasks_before:
            found.append("tasks")
        if self.counted.out:
            found.append("calls")
        if self._ctx is not None:
            ledger = self._ctx._calls.ledger
            if (ledger.shares.calls_out, ledger.shares.tokens_out) != (0, 0):
                found.append("reservations")
            if any(isinstance(task, Task) and task.id not in self._ctx.results for task in self._started()):
                found.append("results")
        found += ["places in a limiter" for gate in gates() if gate.pace.window.out or gate._line.first is not None]
        found += ["keepers of a limiter" for gate in gates() if gate._keeper is not None]
        return found

    def _started(self) -> list[Task]:
        if self._ctx is None:
            return []
        started = {event.task_id for event in self.events if event.kind == "task_started"}
        return [task for task in self._ctx.planned if task.id in started]


def gates() -> list[LocalGate]:
    """The limiters of this event loop."""
    return [gate for _, gate in _gates.here().values()]


async def cancelled(run: Run, wait: Callable[[], Awaitable[None]], report: Report) -> None:
    """Start `run`, cancel it after `wait`, and look at what is left."""
    before = {task.id for task in anyio.get_running_tasks()}
    ending = "cancelled"

    async def go() -> None:
        nonlocal ending
        ending = await run.go()

    began = perf_counter()
    with anyio.move_on_after(SECONDS_TO_HANG) as hung:
        async with anyio.create_task_group() as group:
            group.start_soon(go)
            await wait()
            group.cancel_scope.cancel()
    if hung.cancelled_caught:
        report.left["hung runs"] += 1
    report.slowest = max(report.slowest, perf_counter() - began)
    report.endings[ending] += 1
    report.left.update(run.left(before))


async def many(runs: int, seed: str, report: Report) -> None:
    """Runs over a scripted model, until so many of them were cancelled."""
    enough = report.endings["cancelled"] + runs
    for number in itertools.count():
        if report.endings["cancelled"] >= enough:
            return
        rng = random.Random(f"{seed}/{number}")
        way, wrapper = rng.choice(list(WAYS)), rng.choice(list(WRAPPERS))
        count = int(MOST_STEPS * rng.random() ** 2)
        run = Run(scripted(rng), wrapper, way, watched=rng.random() < 0.8)
        await cancelled(run, lambda: steps(count), report)  # noqa: B023 -- awaited within the turn
        report.runs[way] += 1
        report.runs[wrapper] += 1


async def over_http(runs: int, seed: str, report: Report) -> None:
    """Runs over a real server on loopback."""

    def script(exchange: Exchange) -> ChatAnswer:
        text = PLAN if exchange.schema == "plan" else "It is so.\nAnswer: 4"
        return ChatAnswer(text, chunk=8, gap=0.001, first_token_delay=0.002)

    with FaultyServer(script) as server:
        for number in range(runs):
            rng = random.Random(f"{seed}/http/{number}")
            way, wrapper = rng.choice([each for each in WAYS if each != "tools"]), rng.choice(list(WRAPPERS))
            seconds = rng.uniform(0, MOST_SECONDS)
            run = Run(OpenAIModel("m", base_url=server.url, api_key="k"), wrapper, way, watched=True)
            await cancelled(run, lambda: anyio.sleep(seconds), report)  # noqa: B023
            report.runs["a real server"] += 1
            if not await anyio.to_thread.run_sync(server.wait_for, lambda: server.connections == 0):
                report.left["connections"] += 1


def measured(runs: int, http_runs: int, seed: int) -> Report:
    """So many cancellations, half of them on each event loop."""
    report = Report()
    for place, backend in enumerate(("asyncio", "trio")):
        anyio.run(many, runs // 2, f"{seed}/{place}", report, backend=backend)
        anyio.run(over_http, http_runs // 2, f"{seed}/{place}", report, backend=backend)
    return report


def show(report: Report, seconds: float) -> bool:
    """Print the table, and say whether every promise was kept."""
    rows: list[tuple[str, object]] = [
        ("runs", sum(report.endings.values())),
        *((f"ending: {name}", count) for name, count in sorted(report.endings.items())),
        *((f"with: {name}", count) for name, count in sorted(report.runs.items())),
        *((f"LEFT: {name}", count) for name, count in sorted(report.left.items())),
        ("left over", report.left.total()),
        ("slowest, s", f"{report.slowest:.2f}"),
        ("wall, s", f"{seconds:.0f}"),
    ]
    for name, value in rows:
        print(f"| {name:28} | {value!s:>12} |")
    return not report.left


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--http-runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = perf_counter()
    report = measured(options.runs, options.http_runs, options.seed)
    sys.exit(0 if show(report, perf_counter() - began) else 1)
