"""Workers are killed at random moments, their runs go on, and every call is counted.

Half of the kills are of one of two workers, whose runs the other goes on with while a third is started; half are of
the only one, which is started again. How long calls take is drawn anew each time, so that a run which goes on has other
timings than before. What was in the journal right after a kill must never be asked again.
"""

from __future__ import annotations

import random
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path

import anyio
import anyio.to_thread

from contemplate.cluster import Client
from contemplate.journal import Journal

from .scene import Answers, Scene, ask, committed, opened, repeated, server, swapped

AT_ONCE, CALL_SECONDS, HEARTBEAT = 8, "0.3-0.9", 0.5
SHORTEST, LONGEST = 0.5, 5.0


@dataclass
class Kill:
    """A kill: of which process, when, and the calls that were committed then."""

    process: int
    at: float
    committed: set[str]


@dataclass
class Report:
    """What happened, for so many workers at once."""

    workers: int
    kills: list[Kill] = field(default_factory=list)
    answers: Answers = field(default_factory=Answers)
    calls: int = 0
    committed: int = 0
    committed_again: int = 0
    finished_again: int = 0
    in_flight_again: int = 0
    other_again: int = 0
    checked: int = 0
    swapped: int = 0

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        lost = self.committed_again + self.other_again + self.swapped
        return not lost and self.answers.equal == len(self.answers.runs) and self.finished_again <= 0.005 * self.calls


async def measured(kills: int, workers: int, seed: int) -> Report:
    """Kill so many times one of so many workers, under load."""
    report, chance = Report(workers), random.Random(seed)
    with server() as database, tempfile.TemporaryDirectory() as folder:
        address = database.address(heartbeat=HEARTBEAT)
        with closing(Scene(address, Path(folder), CALL_SECONDS)) as scene, opened(address) as journal:
            working = [scene.start() for _ in range(workers)]
            asked: list[str] = []
            over = anyio.Event()
            numbers = count(seed * 1_000_000)

            async def keep_asking(client: Client) -> None:
                while not over.is_set():
                    asked.append(f"run-{next(numbers)}")
                    await ask(client, asked[-1], report.answers)

            def kill() -> None:
                time.sleep(chance.uniform(SHORTEST, LONGEST))
                killed = working.pop(chance.randrange(len(working)))
                killed.kill()
                at = time.time()
                killed.wait()
                unanswered = sorted(set(asked) - set(report.answers.runs))
                report.kills.append(Kill(killed.pid, at, committed(journal, unanswered)))
                working.append(scene.start())

            async with Client(address) as client, anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(keep_asking, client)
                for _ in range(kills):
                    await anyio.to_thread.run_sync(kill)
                over.set()
            _count(report, scene, journal, asked)
    return report


def _count(report: Report, scene: Scene, journal: Journal, asked: list[str]) -> None:
    calls = scene.calls()
    report.calls = sum(call.what == "began" for call in calls)
    report.committed = sum(len(kill.committed) for kill in report.kills)
    report.checked, report.swapped = swapped(journal, asked)
    report.swapped += sum(call.foreign for call in calls)
    again = repeated(calls)
    for key in again:
        begun = [call for call in calls if call.key == key and call.what == "began"]
        for before, after in pairwise(begun):
            killed = next((kill for kill in report.kills if kill.process == before.process), None)
            answered = any(
                call.what == "answered" and call.key == key and call.process == before.process for call in calls
            )
            # Of any kill before it: what was committed stays so.
            if any(key in kill.committed for kill in report.kills if kill.at < after.at):
                report.committed_again += 1
            elif killed is None or after.at < killed.at:
                report.other_again += 1
            elif answered:
                report.finished_again += 1
            else:
                report.in_flight_again += 1


def main(kills: int, seed: int) -> bool:
    """Print a row for each number of workers, and return whether every promise was kept."""
    print(f"{AT_ONCE} runs of 18 calls of {CALL_SECONDS} s at once; heartbeat {HEARTBEAT} s; seed {seed}\n")
    print(
        "| workers | kills | runs | equal | calls | committed at the kills | asked again | in flight, asked again "
        "| answered and not committed, asked again | for no kill | subagents' answers | swapped |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    kept = True
    for workers, share in (2, kills - kills // 2), (1, kills // 2):
        did = anyio.run(measured, share, workers, seed)
        kept &= did.kept
        print(
            f"| {workers} | {len(did.kills)} | {len(did.answers.runs)} | {did.answers.equal} | {did.calls:,} "
            f"| {did.committed:,} | {did.committed_again} | {did.in_flight_again} "
            f"| {did.finished_again} ({did.finished_again / did.calls:.2%}) | {did.other_again} "
            f"| {did.checked:,} | {did.swapped} |",
            flush=True,
        )
    return kept
