"""A batch that workers answer, its client killed and resumed: `python -m benchmarks.cluster_batch [--questions 10000]`.

A client maps over scripted questions, which workers in processes of their own answer at once; it gets SIGKILL at random
moments, and another takes its place with the same call. Each question must be asked once, and be answered at the end.
Printed is what a question costs the client, in milliseconds, CPU and statements of the database, what the client holds
in memory, and the largest worker; and how long passing over a batch takes that is answered. Without --journal a server
is started for the time being.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import anyio

from contemplate import Contemplator, Message, Usage
from contemplate.cluster import Client
from contemplate.models import DeltaSink, ModelRequest, ModelResponse

from .batch_worker import resident
from .cluster import server, started
from .speed.running import machine

MIND = "benchmarks.cluster_batch:mind"
ASKED = "CONTEMPLATE_BENCHMARK_ASKED"
MARKS = 50


class Writing:
    """A model that answers at once, and writes down what it was asked: nothing of it is kept in memory."""

    name = "writing"

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`."""
        question = request.messages[-1].text
        with open(os.environ[ASKED], "a") as file:  # noqa: ASYNC230
            file.write(f"{question.splitlines()[0]}\n")
        answer = Message.assistant(f"Re: {question}")
        return ModelResponse(message=answer, finish="stop", usage=Usage(calls=1), model=self.name)


mind = Contemplator(Writing(), mode="instant")


@dataclass(frozen=True)
class Order:
    """What a client is to do. `concurrency`: None lets it follow the workers."""

    journal: str
    name: str
    questions: int
    concurrency: int | None


@dataclass(frozen=True)
class Mark:
    """How far a client is: questions, seconds, seconds of CPU, MiB; the statements that it has sent; a worker's MiB."""

    done: int
    seconds: float
    cpu: float
    memory: float
    statements: int
    worker: float = 0.0


async def ask(order: Order) -> None:
    """Go through the questions, and print how far it is, as lines of JSON.

    Raises:
        RuntimeError: an answer is not the right one.
    """
    began, done, every = time.perf_counter(), 0, max(1, order.questions // MARKS)
    questions = (f"Question {number}" for number in range(order.questions))
    async with Client(order.journal) as client:
        results = client.map(questions, mind=MIND, name=order.name, concurrency=order.concurrency)
        async for each in results:
            if each.output != f"Re: Question {each.index}":
                raise RuntimeError(f"question {each.index} was answered with {each.output!r}")
            done += 1
            if done in (1, order.questions) or done % every == 0:
                mark = Mark(done, time.perf_counter() - began, time.process_time(), resident()[0], _sent.statements)
                print(json.dumps(asdict(mark)), flush=True)


class _Sent:
    """Counts what is sent to the database."""

    def __init__(self) -> None:
        self.statements = 0

    def count(self) -> None:
        """Count from now on."""
        import psycopg

        for cursor in (psycopg.Cursor, psycopg.ClientCursor):
            execute = cursor.execute

            def counted(*args: object, execute: object = execute, **options: object) -> object:
                self.statements += 1
                return execute(*args, **options)  # type: ignore[operator]

            cursor.execute = counted  # type: ignore[assignment, method-assign]


_sent = _Sent()


@contextmanager
def workers(number: int, places: int, journal: str, folder: Path) -> Iterator[list[int]]:
    """Let so many workers work, with so many places each, and lend their process ids."""
    with ExitStack() as stack:
        asked = {ASKED: str(folder / "asked")}
        working = [stack.enter_context(started(MIND, journal, folder, asked, places)).pid for _ in range(number)]
        while (folder / "log").read_text().count("Working as") < number:
            time.sleep(0.05)
        yield working


def client(order: Order, kill_at: int | None, working: Sequence[int]) -> list[Mark]:
    """Let a client do it, kill it after so many questions, and return how far it was from time to time."""
    command = [sys.executable, "-m", "benchmarks.cluster_batch", "--client", json.dumps(asdict(order))]
    marks: list[Mark] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            largest = max(resident(worker)[0] for worker in working)
            marks.append(replace(Mark(**json.loads(line)), worker=largest))
            if kill_at is not None and marks[-1].done >= kill_at:
                process.send_signal(signal.SIGKILL)
                break
    if kill_at is None and process.returncode:
        raise SystemExit(f"the client ended with status {process.returncode}")
    return marks


def _row(name: str, marks: list[Mark], before: int) -> str:
    """Return what a client did after the questions that it found answered."""
    start = next((mark for mark in marks if mark.done >= before), marks[0])
    end, asked = marks[-1], max(1, marks[-1].done - start.done)
    ms = 1000 / asked
    return (
        f"| {name} | {end.done:,} | {(end.seconds - start.seconds) * ms:.2f} | {(end.cpu - start.cpu) * ms:.2f} "
        f"| {(end.statements - start.statements) / asked:.2f} | {marks[0].memory:.0f} | {end.memory:.0f} "
        f"| {marks[0].worker:.0f} | {end.worker:.0f} |"
    )


def measure(order: Order, number: int, places: int, kills: int, seed: int) -> bool:
    """Print what came of it, and return whether every promise was kept."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(order.questions // 10, order.questions * 9 // 10) for _ in range(kills))
    print("| client | questions | ms a question | CPU, ms | statements a question ", end="")
    print("| MiB at first | at the end | of a worker, at first | at the end |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        before = 0
        with workers(number, places, order.journal, Path(folder)) as working:
            for place, moment in enumerate((*moments, None), 1):
                marks = client(order, moment, working)
                print(_row(f"{place}{', killed' if moment else ''}", marks, before), flush=True)
                before = marks[-1].done
            print(_row("all answered before", client(order, None, working), 0))
        asked = Counter((Path(folder) / "asked").read_text().splitlines())
    twice, missing = sum(asked.values()) - len(asked), order.questions - len(asked)
    print(f"\n{len(asked):,} questions were answered by {number} workers of {places} places: ", end="")
    print(f"{twice} asked twice, {missing} not asked")
    return not (twice or missing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--journal", help="a database; a server is started if it is not given")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--places", type=int, default=8, help="of each worker")
    parser.add_argument("--concurrency", type=int, help="of the client; by the workers if not given")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.client:
        _sent.count()
        anyio.run(ask, Order(**json.loads(given.client)))
        return 0
    print(f"{json.dumps(machine())}\n", flush=True)
    with ExitStack() as stack:
        journal = given.journal or stack.enter_context(server())
        order = Order(journal, f"batch-{os.getpid()}", given.questions, given.concurrency)
        return 0 if measure(order, given.workers, given.places, given.kills, given.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
