"""Contemplators of a worker, and a hand on their models: what is asked is counted, and may have to wait."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import anyio
from prometheus_client.parser import text_string_to_metric_families

from contemplate import Contemplator, Message
from contemplate.cluster import register
from contemplate.cluster.site import Site
from contemplate.cluster.worker import Worker
from contemplate.errors import ModelServerError
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel
from contemplate.tools import Tool

from ..patience import PATIENCE

PAUSE = 0.01


class Stage:
    """A folder in which models write down what they are asked, and look whether they may answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def answer(self, request: ModelRequest) -> str:
        """Answer; a question with "wait N" waits at the sample of this seed until `open`."""
        question = request.messages[-1].text
        seed = request.settings.seed or 0
        with (self.folder / "asked").open("a") as file:
            file.write(f"{os.getpid()} {seed} {question.splitlines()[-1]}\n")
        if "fail at once" in question or ("fail" in question and seed > 0):
            raise ModelServerError("it is down", model="scripted", status=500)
        while f"wait {seed}" in question and not (self.folder / "open").exists():
            await anyio.sleep(PAUSE)
        return f"answer {seed}"

    def open(self) -> None:
        """Let all answer that wait."""
        (self.folder / "open").touch()

    def asked(self) -> list[tuple[int, int, str]]:
        """Return what was asked: in which process, for which sample, and the question."""
        try:
            lines = (self.folder / "asked").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(int(pid), int(seed), question) for pid, seed, question in (line.split(" ", 2) for line in lines)]


STAGE = Stage(Path(os.environ.get("STAGE", os.curdir)))
DELETED: list[str] = []


def delete(name: str) -> str:
    """Delete a file."""
    DELETED.append(name)
    return f"{name} is gone"


async def _asked(request: ModelRequest) -> str:
    return await STAGE.answer(request)


def _agent(request: ModelRequest) -> Message | str:
    if request.messages[-1].role == "tool":
        return "done"
    return Message(role="assistant", tool_calls=(ToolCall(id="1", name="delete", arguments='{"name": "a.txt"}'),))


async def _helper(request: ModelRequest) -> Message | str:
    if request.messages[-1].role == "tool":
        while "wait" in request.messages[-1].text and not (STAGE.folder / "open").exists():
            await anyio.sleep(PAUSE)
        return f"It is {request.messages[-1].text}."
    if request.output_schema is not None:
        return '{"city": "Oslo"}'
    return Message(role="assistant", tool_calls=(ToolCall(id="1", name="weather", arguments='{"city": "Oslo"}'),))


voters = Contemplator(ScriptedModel(_asked), mode="vote")
careful = Contemplator(ScriptedModel(_agent), mode="instant", tools=[Tool(delete, approval=True)])
helper = Contemplator(ScriptedModel(_helper), mode="instant")
idle = Contemplator(ScriptedModel([]))


@contextmanager
def worker_in_thread(
    url: str, minds: dict[str, Contemplator[str]], concurrency: int = 4, metrics: str | None = None
) -> Iterator[Worker]:
    """Let a worker work in an event loop of its own, as clients may be on another kind of loop."""
    started, stop = threading.Event(), threading.Event()
    worker = Worker(minds, Site.of(url), concurrency=concurrency, metrics=metrics)
    problems: list[BaseException] = []

    async def work() -> None:
        async with worker.working() as end:
            started.set()
            while not stop.is_set():
                await asyncio.sleep(PAUSE)
            await end(0.0)

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as problem:
            problems.append(problem)
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield worker
    finally:
        stop.set()
        thread.join()
        if problems:
            raise problems[0]


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait in a thread until something holds."""
    anyio.run(until, holds)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(60):
        while not holds():
            await anyio.sleep(PAUSE)


def read(url: str) -> str:
    """Return what is at a URL of this machine."""
    with urlopen(url, timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
    return text


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return metrics, as Prometheus reads them, by their names and the values of their labels."""
    return {
        (each.name, *(value for _, value in sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


__all__ = [
    "STAGE",
    "Stage",
    "careful",
    "helper",
    "idle",
    "read",
    "register",
    "samples",
    "until",
    "voters",
    "wait_until",
    "worker_in_thread",
]
