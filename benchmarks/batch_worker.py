"""One process of `python -m benchmarks.batch`: a batch of scripted questions, from where it stands to its end.

What it asks and what it is given is appended to two files, 8 bytes for each question, so that it is known whatever
becomes of the process. Its progress goes to standard output, as lines of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import anyio

from contemplate import Contemplator
from contemplate.models import DeltaSink, ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel
from contemplate.usage import FREE

NUMBER = struct.Struct("<q")
NAME = "batch"
# So many times it tells how far it is.
MARKS = 200


@dataclass(frozen=True)
class Order:
    """What a process is to do. `journal`: a path, or "" for none; `asked`, `given`: the two files."""

    questions: int
    concurrency: int
    journal: str
    asked: str
    given: str


@dataclass(frozen=True)
class Mark:
    """How far a process is: what it was given, what of it it had asked itself, and what it took, in seconds and MiB."""

    done: int
    asked: int
    seconds: float
    cpu: float
    memory: float
    peak: float


class _Asked:
    """A model that answers at once, and writes down that it was asked."""

    name, price = "scripted", FREE

    def __init__(self, path: str) -> None:
        self.count = 0
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        number = request.messages[-1].text.removeprefix("Question ")
        os.write(self._file, NUMBER.pack(int(number)))
        self.count += 1
        return await ScriptedModel(f"Answer {number}").request(request)


async def work(order: Order) -> None:
    """Go through the questions.

    Raises:
        RuntimeError: an answer is not the right one.
    """
    model, given = _Asked(order.asked), os.open(order.given, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    mind = Contemplator(model, mode="instant", journal=f"sqlite:///{order.journal}" if order.journal else None)
    name = NAME if order.journal else None
    began, every, done, first = time.perf_counter(), max(1, order.questions // MARKS), 0, True
    async for each in mind.map(_questions(order.questions), name=name, concurrency=order.concurrency):
        if each.output != f"Answer {each.index}":
            raise RuntimeError(f"question {each.index} was answered with {each.output!r}")
        os.write(given, NUMBER.pack(each.index))
        done += 1
        if done % every == 0 or done == order.questions or (first and model.count):
            first = first and not model.count
            memory, peak = resident()
            mark = Mark(done, model.count, time.perf_counter() - began, time.process_time(), memory, peak)
            print(json.dumps(asdict(mark)), flush=True)


def _questions(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"Question {number}"


def resident(process: int | Literal["self"] = "self") -> tuple[float, float]:
    """Return what is resident of a process now, and what was at most, in MiB."""
    try:
        with open(f"/proc/{process}/status") as file:
            said = dict(line.split(":", 1) for line in file)
        # The usual `ru_maxrss` is inherited from whoever started this process.
        return int(said["VmRSS"].split()[0]) / 1024, int(said["VmHWM"].split()[0]) / 1024
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return peak, peak


if __name__ == "__main__":
    anyio.run(work, Order(**json.loads(sys.argv[1])))
