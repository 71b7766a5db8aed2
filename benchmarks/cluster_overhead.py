"""What a journal costs: `python -m benchmarks.cluster_overhead --journal postgresql://HOST/DATABASE`.

Many contemplations at once, of scripted calls that take their time, without a journal, with one in a file, and with
the one that is named; in turns, so that whatever else the machine does is the same for all. Ratios are those of the
seconds of the whole load, the median of the rounds.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import AsyncIterator
from functools import partial
from operator import truediv
from statistics import median
from typing import NamedTuple
from uuid import uuid4

import anyio

from contemplate import Contemplator, Limits, Message, RunContext, Task, TaskResult, Usage
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
    print("| load | plain, calls/s | SQLite | PostgreSQL |")
    print("|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        remote = open_journal(name)
        for load in loads:
            ways = {"plain": None, "SQLite": Journal(f"{folder}/runs.db"), "PostgreSQL": remote}
            taken: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, journal in ways.items():
                    taken[way].append(anyio.run(seconds_of, load, journal))
            plain = taken["plain"]
            ratio = {way: median(map(truediv, each, plain)) for way, each in taken.items()}
            rate = load.contemplations * load.calls / median(plain)
            print(f"| {load} | {rate:.0f} | {ratio['SQLite']:.2f} | {ratio['PostgreSQL']:.2f} |", flush=True)
        print(f"\n{bytes_of(remote):.0f} bytes for each call in PostgreSQL")
        remote.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journal", required=True, help="such as postgresql://HOST/DATABASE?schema=measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", type=int, nargs="+", default=[0, 1, 2], help="which of the loads")
    options = parser.parse_args()
    main(options.journal, tuple(LOADS[number] for number in options.loads), options.rounds)
