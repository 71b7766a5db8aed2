"""Limits that processes share: `python -m benchmarks.cluster_limits [--journal postgresql://...] [--workers 4]`.

So many processes make calls of a model that writes down when each began and ended, through one `Limit` with a journal.
Printed are, as ratios to what is allowed, the most that were in flight at one moment, the mean, the most starts in any
second or minute, and how many there were in all; the share of each process, and of a run of few calls beside one of
many; when the places of a killed process are free again; and what a call costs. Without --journal a server is started
for the time being; --journal sqlite:///FILE tries one on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import anyio

from contemplate import Message, Usage
from contemplate.models import DeltaSink, Limit, ModelRequest, ModelResponse, RunMark, current_run

from .cluster import server

MINUTE = 60.0


class Load(NamedTuple):
    """What the processes do: all want to have so many calls in flight, until so many seconds are over.

    Of the starts in any `stretch` of seconds at most `starts` are allowed, once the first of them are over.
    """

    what: str
    limits: dict[str, int | bool]
    at_once: int
    least: float
    most: float
    seconds: float
    stretch: float = 1.0
    starts: float = float("inf")
    after: float = 0.0


LOADS = (
    Load("40 calls at once, of 0.5-1.5 s", {"concurrency": 40}, 20, 0.5, 1.5, 25.0),
    # The bucket is full at first, and empty after some seconds.
    Load("1,500 requests a minute, 25 each second", {"requests_per_minute": 1500}, 40, 0.3, 0.5, 35.0, 1.0, 25, 20.0),
    Load("300 in any minute", {"requests_per_minute": 300, "window": True}, 20, 0.2, 0.4, 130.0, MINUTE, 300),
)
KILLED = Load("8 calls at once, of 60 s", {"concurrency": 8}, 20, 60.0, 60.0, 60.0)


class Called(NamedTuple):
    """A call as the model saw it: of which process and run, and when it began and ended."""

    process: int
    run: str
    began: float
    ended: float


class Recording:
    """A model that takes its time, and writes down when."""

    name = "recording"

    def __init__(self, load: Load, log: Path) -> None:
        self._load = load
        self._log = log

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer after a while."""
        began = time.time()
        await anyio.sleep(random.uniform(self._load.least, self._load.most))
        with self._log.open("a") as file:
            file.write(json.dumps([os.getpid(), request.messages[-1].text, began, time.time()]) + "\n")
        usage = Usage(calls=1, input_tokens=10, output_tokens=10)
        return ModelResponse(message=Message.assistant("well"), finish="stop", usage=usage, model=self.name)


async def work(journal: str, load: Load, log: Path) -> None:
    """Be one of the processes: a run with many calls, and one with few, which asks for one after the other."""
    model = Limit(Recording(load, log), account=load.what, journal=journal, **load.limits)  # type: ignore[arg-type]
    began = time.time()

    async def ask(run: str) -> None:
        while time.time() < began + load.seconds:
            await model.request(ModelRequest((Message.user(run),)))

    async def many() -> None:
        current_run.set(RunMark())
        async with anyio.create_task_group() as group:
            for _ in range(load.at_once):
                group.start_soon(ask, "many")

    async def few() -> None:
        current_run.set(RunMark())
        await ask("few")

    async with anyio.create_task_group() as group:
        group.start_soon(many)
        group.start_soon(few)
        # What waits is not begun any more.
        await anyio.sleep(load.seconds)
        group.cancel_scope.cancel()


@contextmanager
def worker(journal: str, load: Load, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, and end it."""
    options = ["--work", str((*LOADS, KILLED).index(load)), "--log", str(log), "--journal", journal]
    with subprocess.Popen([sys.executable, "-m", "benchmarks.cluster_limits", *options]) as running:
        try:
            yield running
        finally:
            running.kill()


def calls_of(log: Path) -> list[Called]:
    """What the model has written down."""
    return sorted((Called(*json.loads(line)) for line in log.read_text().splitlines()), key=lambda call: call.began)


def most_at_once(calls: list[Called]) -> int:
    """The most calls in flight at one moment."""
    changes = sorted([(call.ended, -1) for call in calls] + [(call.began, 1) for call in calls])
    out = most = 0
    for _, change in changes:
        out += change
        most = max(most, out)
    return most


def most_starts(starts: list[float], stretch: float) -> int:
    """The most starts in any stretch of time."""
    most = first = 0
    for number, at in enumerate(starts):
        while at - starts[first] >= stretch:
            first += 1
        most = max(most, number - first + 1)
    return most


def measure(journal: str, load: Load, workers: int) -> None:
    """Print what comes of a load."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        log = Path(folder) / "calls"
        log.touch()
        for running in [stack.enter_context(worker(journal, load, log)) for _ in range(workers)]:
            if running.wait():
                raise SystemExit("a process failed")
        calls = calls_of(log)
    began, ended = calls[0].began, calls[-1].began
    print(f"\n{load.what}: {len(calls)} calls of {workers} processes in {ended - began:.0f} s")
    cap = load.limits.get("concurrency")
    if cap:
        # Not while processes start and end.
        first, last = began + 5.0, ended - 2.0
        busy = sum(max(0.0, min(call.ended, last) - max(call.began, first)) for call in calls)
        print(f"  in flight: at most {most_at_once(calls) / cap:.3f} of what is allowed", end=", ")
        print(f"{busy / (last - first) / cap:.3f} of it on average")
    else:
        starts = [call.began for call in calls if call.began >= began + load.after]
        most = most_starts(starts, load.stretch)
        print(f"  starts in any {load.stretch:.0f} s: at most {most}, where {load.starts:.0f} are allowed")
        whole = (starts[-1] - starts[0]) // load.stretch * load.stretch
        share = sum(at - starts[0] < whole for at in starts) / (load.starts * whole / load.stretch)
        print(f"  in all: {share:.3f} of what is allowed")
    each = [sum(call.process == process for call in calls) for process in {call.process for call in calls}]
    print(f"  the least share of a process is {min(each) / max(each):.2f} of the largest", end="; ")
    few, many = (statistics.median(_waits(calls, run)) for run in ("few", "many"))
    print(f"between two starts of a run there are {many:.2f} s, of one that asks for one call at a time {few:.2f} s")


def _waits(calls: list[Called], run: str) -> list[float]:
    """For how long a run had no new call, within each process."""
    waits: list[float] = []
    for process in {call.process for call in calls}:
        starts = [call.began for call in calls if (call.process, call.run) == (process, run)]
        waits += [later - earlier for earlier, later in pairwise(starts)]
    return waits or [0.0]


def kill(journal: str) -> None:
    """Print after how long the places of a killed process are taken by another."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "calls"

        async def others() -> float:
            quick = Recording(KILLED._replace(least=0.5, most=0.5), log)
            model = Limit(quick, account=KILLED.what, journal=journal, concurrency=8)
            began = time.time()
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(model.request, ModelRequest((Message.user("after"),)))
            return time.time() - began - 0.5

        with worker(journal, KILLED, log):
            time.sleep(5.0)
        print(f"\na killed process: its 8 places are taken {anyio.run(others):.1f} s later")


async def overhead(journal: str, calls: int = 100) -> float:
    """Return what a call costs that need not wait, one after the other with some time between them, in seconds."""
    load = Load("overhead", {}, 1, 0.0, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        plain = Recording(load, Path(folder) / "calls")
        limited = Limit(plain, account="overhead", journal=journal, requests_per_minute=1_000_000)
        taken: list[list[float]] = []
        for model in (plain, limited):
            taken.append([])
            for _ in range(calls):
                began = time.perf_counter()
                await model.request(ModelRequest((Message.user("?"),)))
                taken[-1].append(time.perf_counter() - began)
                await anyio.sleep(0.05)
    return statistics.median(taken[1]) - statistics.median(taken[0])


def main() -> None:
    """Run the benchmark, or be one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--journal", help="a database; a server is started if it is not given")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--loads", type=int, nargs="*", default=[0, 1, 2], help="which of the loads")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        anyio.run(work, options.journal, (*LOADS, KILLED)[options.work], options.log)
        return
    with ExitStack() as stack:
        journal = options.journal or stack.enter_context(server())
        for number in options.loads:
            measure(journal, LOADS[number], options.workers)
        kill(journal)
        print(f"a call that need not wait takes {1000 * anyio.run(overhead, journal):.1f} ms longer (p50)")


if __name__ == "__main__":
    main()
