"""Contemplations against a server that misbehaves in every way it knows, at random: `python -m benchmarks.chaos`.

Each contemplation must end in time, with an answer or with a typed error, and with everything that was finished; after
all of them no task, connection or file descriptor may be left, and memory must have stayed flat after the warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import resource
import sys
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

import anyio

from contemplate import ContemplateError, Contemplator, Limits, ModelSettings, RunResult, aggregators, planners
from contemplate.events import Event, TaskFinished
from contemplate.models import OpenAIModel, Retry
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import FAULTS, Exchange, mixture

SECONDS = 4.0
CALL_SECONDS = 1.0
GRACE = 2.0
PLAN = json.dumps(
    {"tasks": [{"title": f"T{i}", "prompt": f"Do {i}.", "needs": [1] if i == 3 else []} for i in (1, 2, 3)]}
)


@dataclass
class Report:
    """What happened."""

    endings: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    late: int = 0
    lost: int = 0
    untyped: int = 0
    slowest: float = 0.0


def answer(exchange: Exchange) -> str:
    """What the server says when it behaves."""
    return PLAN if exchange.schema == "plan" else "It is so.\nAnswer: 4"


def minds(url: str) -> dict[str, Contemplator[str]]:
    """The ways of thinking that are tried."""
    model = Retry(
        OpenAIModel("m", base_url=url, api_key="k", settings=ModelSettings(timeout=CALL_SECONDS, max_tokens=500)),
        attempts=2,
        longest_wait=0.2,
    )
    limits = Limits(seconds=SECONDS, calls=40, total_tokens=400_000)
    sample, vote = planners.sample(4), aggregators.vote()
    return {
        "instant": Contemplator(model, mode="instant", limits=limits),
        "contemplating": Contemplator(model, limits=limits),
        "vote": Contemplator(model, planner=sample, aggregator=vote, limits=limits),
        "vote, not streamed": Contemplator(model, planner=sample, aggregator=vote, limits=limits, stream=False),
    }


async def contemplate_once(name: str, mind: Contemplator[str], number: int, report: Report) -> None:
    """One contemplation, and what came of it."""
    finished: set[str] = set()

    def hear(event: Event) -> None:
        if isinstance(event, TaskFinished) and event.result.answered:
            finished.add(event.result.id)

    began = perf_counter()
    result: RunResult[str] | None = None
    try:
        if name == "vote, not streamed":
            result = await mind.run(f"Question {number}?")
        else:
            async with mind.stream(f"Question {number}?") as run:
                async for event in run:
                    hear(event)
            result = run.result
        report.endings["complete" if result.complete else "partial"] += 1
    except ContemplateError as error:
        report.endings["error"] += 1
        report.errors[type(error).__name__] += 1
        result = error.partial
    except Exception as error:
        report.untyped += 1
        report.errors[f"UNTYPED {type(error).__name__}: {error}"[:100]] += 1
    seconds = perf_counter() - began
    report.slowest = max(report.slowest, seconds)
    report.late += seconds > SECONDS + GRACE
    tasks = () if result is None else result.tasks
    report.outcomes.update(task.outcome for task in tasks)
    report.lost += len(finished - {task.id for task in tasks if task.answered})


async def batch(ways: dict[str, Contemplator[str]], numbers: range, at_once: int, report: Report) -> None:
    """So many contemplations, `at_once` at a time."""
    slots = anyio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with slots:
            name = random.Random(number).choice(sorted(ways))
            await contemplate_once(name, ways[name], number, report)

    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(one, number)


def memory_mib() -> float:
    """Resident memory, in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def descriptors() -> int:
    """Open file descriptors."""
    return len(os.listdir("/proc/self/fd"))


async def main(runs: int, at_once: int, seed: int, rate: float) -> bool:
    """Run it all, print the table, and say whether every promise was kept."""
    rates = dict.fromkeys(FAULTS, rate / len(FAULTS))
    report = Report()
    rounds = 10
    memory: list[float] = []
    met: Counter[str | None] = Counter()
    began = perf_counter()
    with FaultyServer(mixture(rates, seed=seed, otherwise=answer)) as server:
        ways = minds(server.url)
        tasks_before, descriptors_before = len(asyncio.all_tasks()), descriptors()
        for turn in range(rounds):
            await batch(ways, range(turn * runs // rounds, (turn + 1) * runs // rounds), at_once, report)
            met.update(exchange.fault for exchange in server.exchanges)
            server.exchanges.clear()
            gc.collect()
            memory.append(memory_mib())
            print(f"{(turn + 1) * runs // rounds:6} runs, {memory[-1]:.0f} MiB", file=sys.stderr, flush=True)
        await asyncio.sleep(0.2)
        left = {
            "tasks": len(asyncio.all_tasks()) - tasks_before,
            "connections": server.connections,
            "descriptors": descriptors() - descriptors_before,
        }
    return show(report, left, memory, met, perf_counter() - began, runs)


def show(
    report: Report,
    left: dict[str, int],
    memory: list[float],
    met: Counter[str | None],
    seconds: float,
    runs: int,
) -> bool:
    """Print the table."""
    rows: list[tuple[str, object]] = [
        ("contemplations", runs),
        ("requests", met.total()),
        ("of them faulty", met.total() - met[None]),
        ("kinds of fault met", len(met) - (None in met)),
        *((f"runs: {name}", count) for name, count in sorted(report.endings.items())),
        *((f"tasks: {name}", count) for name, count in sorted(report.outcomes.items())),
        *((f"error: {name}", count) for name, count in sorted(report.errors.items())),
        ("slowest run, s", f"{report.slowest:.2f} (limit {SECONDS:g})"),
        (f"later than limit + {GRACE:g} s", report.late),
        ("finished answers lost", report.lost),
        ("untyped errors", report.untyped),
        *((f"left over: {name}", count) for name, count in left.items()),
        ("memory after warm-up, MiB", f"{memory[1]:.0f} -> {memory[-1]:.0f}"),
        ("wall, s", f"{seconds:.0f}"),
    ]
    for name, value in rows:
        print(f"| {name:32} | {value!s:>24} |")
    kept = not (report.late or report.lost or report.untyped or any(count > 0 for count in left.values()))
    return kept and sum(report.endings.values()) + report.untyped == runs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.2, help="share of requests that meet a fault")
    options = parser.parse_args()
    sys.exit(0 if anyio.run(main, options.runs, options.at_once, options.seed, options.rate) else 1)
