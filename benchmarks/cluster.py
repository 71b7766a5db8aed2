"""Workers on one PostgreSQL: `python -m benchmarks.cluster [--journal postgresql://...] [--runs 100]`.

Clients submit contemplations of ten calls, one after the other, of 0.1 to 0.3 s each, to 1, 2 and 4 workers, which are
processes that carry out eight at once. Printed are how much faster more workers are, how long an event takes from a
worker to a client, and what it costs that a worker is killed in the middle: how many calls are made again, and how many
are although they had been recorded, which none may be. Without --journal a server is started for the time being.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from contemplate import Contemplator, Limits, aggregators, planners
from contemplate.cluster import Client
from contemplate.events import TaskDelta
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel
from tests.postgres import PostgresServer, binaries

CALLS = 10
CONCURRENCY = 8
SHORTEST, LONGEST = 0.1, 0.3
LOG = "CONTEMPLATE_BENCHMARK_CALLS"
MIND = "benchmarks.cluster:mind"


async def _answer(request: ModelRequest) -> str:
    question, seed = request.messages[-1].text, request.settings.seed
    await anyio.sleep(random.Random(f"{question} {seed}").uniform(SHORTEST, LONGEST))
    if LOG in os.environ:
        _note(f"{question.splitlines()[0]} {seed}\n")
    # All differ, so that no vote is over before the last; and whoever hears of it knows how old it is.
    return f"{time.time():.6f}"


def _note(line: str) -> None:
    with open(os.environ[LOG], "a") as file:
        file.write(line)


mind = Contemplator(ScriptedModel(_answer), planner=planners.sample(CALLS, wave=1), aggregator=aggregators.vote())


@dataclass(frozen=True)
class Measured:
    """What came of a load: its seconds, the calls that were made, and the ages of events, in seconds."""

    seconds: float
    calls: Counter[str]
    ages: list[float]


@contextmanager
def started(
    mind: str, journal: str, folder: Path, environment: Mapping[str, str], concurrency: int = CONCURRENCY
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker, whose log is in the folder, and end it."""
    options = ["--concurrency", str(concurrency), "--journal", journal]
    command = [sys.executable, "-m", "contemplate", "worker", mind, *options]
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(command, env={**os.environ, **environment}, stderr=log) as running,
    ):
        try:
            yield running
        finally:
            running.terminate()


async def load(journal: str, runs: int, workers: int, name: str, *, kill: bool = False) -> Measured:
    """Let so many workers answer so many questions, and return how they did."""
    ages: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        noted = {LOG: str(Path(folder) / "calls")}
        working = [stack.enter_context(started(MIND, journal, Path(folder), noted)) for _ in range(workers)]
        while (Path(folder) / "log").read_text().count("Working as") < workers:
            await anyio.sleep(0.05)
            if any(each.poll() is not None for each in working):
                raise SystemExit((Path(folder) / "log").read_text())
        async with Client(journal) as client, anyio.create_task_group() as group:

            async def listen(run_id: str) -> None:
                async for event in client.handle(run_id).events():
                    age = time.time() - float(event.text) if isinstance(event, TaskDelta) else None
                    ages.extend([] if age is None else [age])

            began = time.perf_counter()
            handles = [client.handle(f"{name}-{number}") for number in range(runs)]
            async with anyio.create_task_group() as submitting:
                for handle in handles:
                    submitting.start_soon(partial(client.submit, handle.run_id, mind=MIND, run_id=handle.run_id))
            # One that begins later, so that none of its events is older because it was heard late.
            group.start_soon(listen, handles[runs // 2].run_id)
            if kill:
                await handles[runs // 3].result()
                working[0].kill()
            for handle in handles:
                assert (await handle.result()).complete
            seconds = time.perf_counter() - began
        calls = Counter((Path(folder) / "calls").read_text().splitlines())
    return Measured(seconds, calls, ages)


async def alone(runs: int) -> float:
    """Return how long one process takes for that without journal and workers."""
    began = time.perf_counter()
    questions = [f"alone-{number}" for number in range(runs)]
    async for done in mind.map(questions, concurrency=CONCURRENCY, limits=Limits(concurrency=None)):
        assert done.result is not None
    return time.perf_counter() - began


async def compare(journal: str, runs: int) -> None:
    """Print what comes of each number of workers, and of a kill."""
    tag = f"{os.getpid()}"
    plain = await alone(runs)
    print(f"{runs} runs of {CALLS} calls, {CONCURRENCY} at once in each process")
    print(f"one process, no journal  {plain:6.1f} s")
    first: Measured | None = None
    for workers in (1, 2, 4):
        measured = await load(journal, runs, workers, f"{tag}-{workers}")
        first = first or measured
        ages = sorted(measured.ages)
        print(
            f"{workers} workers {measured.seconds:20.1f} s  {first.seconds / measured.seconds:.2f}x of one worker, "
            f"{measured.seconds * workers / plain:.2f}x of the plain time; events are "
            f"{statistics.median(ages) * 1000:.0f} ms old (p50), {ages[int(len(ages) * 0.95)] * 1000:.0f} ms (p95)"
        )
    killed = await load(f"{journal}{'&' if '?' in journal else '?'}heartbeat=1", runs, 2, f"{tag}-killed", kill=True)
    again = sum(killed.calls.values()) - len(killed.calls)
    print(f"2 workers, one killed {killed.seconds:9.1f} s  {again} of {len(killed.calls)} calls were answered twice")


@contextmanager
def server() -> Iterator[str]:
    """Lend the address of a journal on a server that is started for the time being."""
    programs = binaries()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed here: give --journal")
    with closing(PostgresServer(programs)) as started:
        yield started.address()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--journal", help="a database; a server is started if it is not given")
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    with ExitStack() as stack:
        anyio.run(compare, options.journal or stack.enter_context(server()), options.runs)


if __name__ == "__main__":
    main()
