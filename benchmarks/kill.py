"""Runs that are killed at random moments and continued: `python -m benchmarks.kill --kills 200 --seed 0`.

A process contemplates with a journal, over a scripted HTTP server of this one, and gets SIGKILL at a random moment,
from the journal's opening to its end; another takes its place, until the run is answered. No call that stood in the
journal at the time of a kill may be asked again, and the answer must be an uninterrupted run's. The processes are
forked from one that has imported everything and has no thread or event loop yet.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import anyio

from contemplate import Contemplator, planners, tool
from contemplate.errors import RunInProgress
from contemplate.journal import Entry, open_journal
from contemplate.models import OpenAIModel
from contemplate.testing import FaultyServer
from contemplate.testing.faulty import ChatAnswer, Exchange

LONGEST = 0.9
# In a database a process is known to be dead only after a while, for which the next one waits.
LONGEST_ELSEWHERE = 2.0
QUESTION = "What is to be done?"
NEEDS = {4: [1], 5: [1, 2], 6: [4], 7: []}
TASKS = [{"title": f"T{i}", "prompt": f"Do number {i}.", "needs": NEEDS.get(i, [])} for i in range(1, 8)]


@dataclass
class Report:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    equal: int = 0
    stored: int = 0
    again: int = 0
    lost: int = 0

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return self.runs == self.equal and not self.again and not self.lost


def content(exchange: Exchange) -> str:
    """A name for what is asked."""
    if exchange.schema == "plan":
        return "plan"
    return hashlib.sha256(json.dumps(exchange.messages, sort_keys=True).encode()).hexdigest()[:16]


def reply(exchange: Exchange) -> ChatAnswer:
    """A function of what is asked, after 20 to 100 ms."""
    name = content(exchange)
    wait = 0.02 + 0.08 * random.random()
    if name == "plan":
        return ChatAnswer(json.dumps({"tasks": TASKS}), delay=wait)
    said = str(exchange.messages[-1]["content"])
    if "number 7" in said and exchange.body.get("tools"):
        return ChatAnswer(f"It is {name}.", tool_calls=[("weigh", '{"grams": 7}')], delay=wait)
    return ChatAnswer(f"It is {name}.", delay=wait)


def asked(entry: Entry) -> str | None:
    """What `content` had called the request of a model call that was answered."""
    if entry.response is None or entry.outcome != "answered":
        return None
    return "plan" if entry.role == "planner" else entry.response.message.text[6:-1]


@tool
def weigh(grams: int) -> str:
    """Weigh."""
    return f"{grams} g"


def contemplate(url: str, journal: str | None, run_id: str) -> str:
    """One run, or the rest of it."""
    model = OpenAIModel("m", base_url=url, api_key="k")
    mind = Contemplator(model, planner=planners.model(), tools=[weigh], journal=journal)
    return anyio.run(lambda: mind.run(QUESTION, run_id=run_id)).output


def fork_on_request() -> None:
    """Read who is to contemplate and when to kill it, fork, and tell how it ended."""
    for module in (
        "anyio._backends._asyncio",
        "contemplate.journal.postgres",
        "contemplate.models.openai.model",
        "contemplate.run.journaled_runs",
        "httpx2",
        "filelock",
    ):
        import_module(module)
    for line in sys.stdin:
        url, name, run_id, out, seconds = json.loads(line)
        pid = os.fork()
        if pid == 0:
            text = None
            while text is None:
                # In a database, a process that was killed is known to be dead a little later.
                with suppress(RunInProgress):
                    text = contemplate(url, name, run_id)
            Path(out).write_text(text)
            os._exit(0)
        if seconds is not None:
            time.sleep(seconds)
            # It has not been waited for, so that the number is still its own.
            os.kill(pid, signal.SIGKILL)
        print(os.waitpid(pid, 0)[1], flush=True)


def phase(name: str, run_id: str) -> tuple[str, list[Entry]]:
    """How far a run had come when it was killed."""
    with closing(open_journal(name)) as journal:
        run, entries = journal.load(run_id), journal.entries(run_id)
    if run is None:
        return "before the run stood", entries
    if run.status == "answered":
        return "after its end", entries
    roles = {entry.role for entry in entries}
    if "aggregator" in roles:
        return "before its end was written", entries
    tasks = sum(entry.role == "subagent" for entry in entries)
    return ("planning" if "planner" not in roles else f"{tasks:2} of 8 subagents' calls"), entries


def run_and_kill(
    number: int,
    name: str,
    folder: Path,
    nursery: subprocess.Popen[str],
    server: FaultyServer,
    kills: int,
    report: Report,
) -> None:
    """One run, killed until it is answered or there were kills enough."""
    chance, run_id, out = random.Random(number), f"r{number}", folder / f"{number}"
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    longest = LONGEST if name.startswith("sqlite") else LONGEST_ELSEWHERE
    stored: set[str] = set()
    while True:
        server.exchanges.clear()
        seconds = chance.random() * longest if report.kills.total() < kills else None
        nursery.stdin.write(json.dumps([server.url, name, run_id, str(out), seconds]) + "\n")
        nursery.stdin.flush()
        status = int(nursery.stdout.readline())
        report.again += sum(content(exchange) in stored for exchange in tuple(server.exchanges))
        where, entries = phase(name, run_id)
        now = {said for said in map(asked, entries) if said}
        report.lost += len(stored - now)
        stored = now
        if status == signal.SIGKILL:
            report.kills[where] += 1
            report.stored += len(stored)
        elif status:
            raise RuntimeError(f"a contemplation ended with status {status}")
        else:
            break
    report.runs += 1
    report.equal += out.read_text() == contemplate(server.url, None, run_id)
    server.exchanges.clear()


def main(kills: int, seed: int, journal: str | None = None) -> Report:
    """Kill so many times, with this journal, or one in a file."""
    report = Report()
    command = [sys.executable, "-c", "from benchmarks import kill; kill.fork_on_request()"]
    pipes = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as folder,
        FaultyServer(reply) as server,
        subprocess.Popen(command, stdin=pipes, stdout=pipes, text=True) as nursery,
    ):
        number = seed * 1_000_000
        while report.kills.total() < kills:
            run_and_kill(number, journal or f"sqlite:///{folder}/runs.db", Path(folder), nursery, server, kills, report)
            number += 1
    return report


def show(report: Report) -> None:
    """Print the table."""
    rows: list[tuple[str, object]] = [
        ("kills", report.kills.total()),
        *((f"killed: {where}", count) for where, count in sorted(report.kills.items())),
        ("calls stored at the kills", report.stored),
        ("of them asked again", report.again),
        ("of them lost", report.lost),
        ("runs", report.runs),
        ("final answers equal", report.equal),
    ]
    for name, value in rows:
        print(f"| {name:36} | {value!s:>8} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--journal", help="such as postgresql://HOST/DATABASE?heartbeat=0.3 (default: a file)")
    options = parser.parse_args()
    outcome = main(options.kills, options.seed, options.journal)
    show(outcome)
    sys.exit(0 if outcome.kept else 1)
