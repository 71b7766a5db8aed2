"""Workers on a database, questions to them, and what came of these."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from contemplate.cluster import Client
from contemplate.errors import ClusterBusy
from contemplate.journal import Journal, open_journal
from tests.postgres import PostgresServer, binaries

from .mind import AGENTS, AT_ONCE, LOG, NAME, SECONDS, Call, calls_in, mind

_KEY = re.compile(r"\b[0-9a-f]{16}\b")
_SUBAGENT = re.compile(r"(\w+) of (\S+), turn (\d), is")


@contextmanager
def server() -> Iterator[PostgresServer]:
    """Lend a server that is started for the time being."""
    programs = binaries()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed here")
    with closing(PostgresServer(programs)) as started:
        yield started


class Scene:
    """Workers, each with a log of its own in the folder, until the scene is closed.

    Args:
        journal: what workers connect to.
        folder: where they write.
        seconds: how long a call takes: "0.1-0.3".
        at_once: how many calls a worker makes at once.
    """

    def __init__(self, journal: str, folder: Path, seconds: str, at_once: int = 1000) -> None:
        self.journal = journal
        self.folder = folder
        self._environment = {**os.environ, LOG: str(folder / "calls"), SECONDS: seconds, AT_ONCE: str(at_once)}
        self._started = 0
        self._stack = ExitStack()

    def close(self) -> None:
        """End all workers."""
        self._stack.close()

    def start(self, concurrency: int = 4) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it works."""
        self._started += 1
        log = self.folder / f"worker-{self._started}"
        options = ["--journal", self.journal, "--concurrency", str(concurrency)]
        command = [sys.executable, "-m", "contemplate", "worker", NAME, *options]
        with log.open("wb") as file:
            worker = subprocess.Popen(command, env=self._environment, stdout=file, stderr=file)
        self._stack.callback(_ended, worker)
        while "Working as" not in log.read_text():
            if worker.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.02)
        return worker

    def calls(self) -> list[Call]:
        """Return the calls of all workers so far."""
        return calls_in(self.folder / "calls")

    def said(self) -> list[str]:
        """Return what workers have said of the database, and of anything else that was wrong."""
        lines = [line for log in sorted(self.folder.glob("worker-*")) for line in log.read_text().splitlines()]
        return [line for line in lines if not line.startswith(("Working as", "Ending"))]


def _ended(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        worker.send_signal(signal.SIGCONT)
        worker.kill()
    worker.wait()


@dataclass
class Answers:
    """What clients were told.

    Args:
        runs: the runs that were answered.
        equal: how many of them were answered as without any trouble.
        busy: how often the database was away for so long that it was an error.
    """

    runs: list[str] = field(default_factory=list)
    equal: int = 0
    busy: int = 0


async def ask(client: Client, run: str, answers: Answers) -> None:
    """Ask a question, and wait for its answer, however often that takes."""
    expected = (await mind.run(run)).output
    while True:
        try:
            result = await (await client.submit(run, mind=NAME, run_id=run)).result()
        except ClusterBusy:
            answers.busy += 1
        else:
            break
    answers.runs.append(run)
    answers.equal += result.complete and result.output == expected


async def ask_all(client: Client, runs: Iterable[str], answers: Answers) -> None:
    """Ask all at once."""
    async with anyio.create_task_group() as group:
        for run in runs:
            group.start_soon(ask, client, run, answers)


def committed(journal: Journal, runs: Iterable[str]) -> set[str]:
    """Return the keys of the calls whose answers are in the journal."""
    entries = [entry for run in runs for entry in journal.entries(run)]
    texts = [entry.response.message.text for entry in entries if entry.response and entry.outcome == "answered"]
    return {found[-1] for text in texts if (found := _KEY.findall(text))}


def swapped(journal: Journal, runs: Iterable[str]) -> tuple[int, int]:
    """Return how many subagents' answers are in the journal, and how many of them are in another's place."""
    seen = wrong = 0
    for run in runs:
        names: dict[str, set[str]] = {}
        for entry in journal.entries(run):
            if entry.role != "subagent" or entry.response is None:
                continue
            said = _SUBAGENT.match(entry.response.message.text)
            names.setdefault(entry.task or "", set()).add(said[1] if said else "")
            seen += 1
            wrong += said is None or said[2] != run or int(said[3]) != entry.turn
        wrong += sorted(name for each in names.values() for name in each) != sorted(AGENTS)
    return seen, wrong


def repeated(calls: Iterable[Call]) -> dict[str, int]:
    """Return the calls that were made more than once, and how often."""
    made = Counter(call.key for call in calls if call.what == "began")
    return {key: times for key, times in made.items() if times > 1}


@contextmanager
def opened(address: str) -> Iterator[Journal]:
    """Lend a journal that is read only."""
    with closing(open_journal(address)) as journal:
        yield journal
