"""What a journal costs: `python -m benchmarks.cluster_overhead --journal postgresql://HOST/DATABASE`.

Many contemplations at once, of scripted calls that take their time, without a journal, with one in a file, with the
one that is named, and submitted to a worker, another process; in turns, so that whatever else the machine does is the
same for all. Ratios are those of the seconds of the whole load, the median of the rounds.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import NamedTuple
from uuid import uuid4

import anyio

from contemplate import Contemplator, Limits, Message, RunContext, Task, TaskResult, Usage
from contemplate.cluster import Client, register, work
from contemplate.journal import Journal, open_journal
from contemplate.models import DeltaSink, ModelRequest, ModelResponse

TEXT = "It is so, as far as anybody knows. " * 20


class Load(NamedTuple):
    """Contemplations at once, each of so many calls, some at once, of a model that takes between two times."""

    contemplations: int
    calls: int
    at_once: int
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.contemplations} x {self.calls} calls of {self.least}-{self.most} s"


LOADS = (Load(100, 10, 2, 0.1, 0.3), Load(100, 10, 2, 0.5, 3.0), Load(20, 200, 5, 0.1, 0.3))


class Slow:
    """A model that takes its time: the same for the same question."""

    name = "slow"

    def __init__(self, load: Load) -> None:
        self._load = load

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer after a while."""
        chance = random.Random(request.messages[-1].text)
        await anyio.sleep(chance.uniform(self._load.least, self._load.most))
        usage = Usage(calls=1, input_tokens=400, output_tokens=200)
        return ModelResponse(message=Message.assistant(TEXT), finish="stop", usage=usage, model=self.name)


def mind_of(load: Load, journal: Journal | None) -> Contemplator[str]:
    """A contemplator whose runs make the calls of a load."""

    async def planned(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number in range(load.calls):
            yield Task(id=f"t{number}", prompt=f"{question} {number}")

    async def counted(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        return str(len([result async for result in results if result.answered]))

    return Contemplator(
        Slow(load),
        planner=planned,
        aggregator=counted,
        limits=Limits(concurrency=load.at_once),
        journal=journal,
        stream=False,
    )


async def seconds_of(load: Load, journal: Journal | None) -> float:
    """How long a load takes."""
    mind = mind_of(load, journal)
    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for number in range(load.contemplations):
            group.start_soon(partial(mind.run, f"What of {number}?", run_id=f"{uuid4()}"))
    return time.perf_counter() - began


async def seconds_at_worker(load: Load, address: str) -> float:
    """How long a load takes that a worker carries out."""
    async with Client(address) as client:
        began = time.perf_counter()

        async def ask(number: int) -> None:
            await (await client.submit(f"What of {number}?", mind=str(load))).result()

        async with anyio.create_task_group() as group:
            for number in range(load.contemplations):
                group.start_soon(ask, number)
        return time.perf_counter() - began


@contextmanager
def worker_at(address: str) -> Iterator[None]:
    """Let a worker, in another process, carry out all loads in the block."""
    command = [sys.executable, "-m", "benchmarks.cluster_overhead", "--work", "--journal", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


def be_worker(address: str) -> None:
    """Carry out loads until SIGTERM."""
    for load in LOADS:
        register(str(load), mind_of(load, None))
    work([str(load) for load in LOADS], journal=address, concurrency=max(each.contemplations for each in LOADS))


def bytes_of(journal: Journal) -> float:
    """What a journal in PostgreSQL stores for each call, in bytes, with its indexes."""
    size = "SELECT sum(pg_total_relation_size(tablename::regclass)) FROM pg_tables WHERE schemaname = current_schema()"

    def read(query: str) -> float:
        found = journal.store.read(lambda connection: connection.execute(query).fetchone(), 30.0)
        assert found is not None
        return float(found[0])

    return read(size) / read("SELECT count(*) FROM calls")


def main(name: str, loads: tuple[Load, ...], rounds: int) -> None:
    """Print a row for each load."""
    print("| load | plain, calls/s | SQLite | PostgreSQL | PostgreSQL and a worker |")
    print("|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder, worker_at(name):
        remote, local = open_journal(name), Journal(f"{folder}/runs.db")
        for load in loads:
            ways: tuple[Callable[[], Awaitable[float]], ...] = (
                partial(seconds_of, load, None),
                partial(seconds_of, load, local),
                partial(seconds_of, load, remote),
                partial(seconds_at_worker, load, name),
            )
            taken = [[anyio.run(way) for way in ways] for _ in range(rounds)]
            rate = load.contemplations * load.calls / median(seconds[0] for seconds in taken)
            ratios = (f"{median(seconds[way] / seconds[0] for seconds in taken):.2f}" for way in range(1, len(ways)))
            print(f"| {load} | {rate:.0f} | {' | '.join(ratios)} |", flush=True)
        print(f"\n{bytes_of(remote):.0f} bytes for each call in PostgreSQL")
        remote.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journal", required=True, help="such as postgresql://HOST/DATABASE?schema=measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", type=int, nargs="+", default=[0, 1, 2], help="which of the loads")
    parser.add_argument("--work", action="store_true", help="be the worker of another such process")
    options = parser.parse_args()
    if options.work:
        be_worker(options.journal)
        raise SystemExit
    main(options.journal, tuple(LOADS[number] for number in options.loads), options.rounds)
