"""A batch of many questions, killed and resumed: `python -m benchmarks.batch --questions 1000000 --kills 2`.

A process maps over scripted questions, which are answered at once: first without a journal, then with one; the latter
gets SIGKILL at random moments, and another takes its place with the same call. Nothing that was given or stood in the
journal may be asked again, and each question must be answered at the end. Printed is what a question costs, and what
the processes hold in memory.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .batch_worker import NUMBER, Mark, Order
from .speed.running import machine

# Shares of the questions at which memory is told.
TOLD = (0.1, 0.5, 1.0)


@dataclass
class Leg:
    """What one process did, from its first call on; before that it found `skipped` answers in the journal.

    Attributes:
        marks: how far it was, from time to time.
        killed: whether it was killed.
    """

    marks: list[Mark] = field(default_factory=list)
    killed: bool = False

    @property
    def start(self) -> Mark:
        """Where it asked for the first time."""
        return next((mark for mark in self.marks if mark.asked), self.marks[-1])

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU for each question that it asked."""
        return 1000 * (self.marks[-1].cpu - self.start.cpu) / self._asked

    @property
    def rate(self) -> float:
        """Questions that it asked in a second."""
        return self._asked / max(1e-9, self.marks[-1].seconds - self.start.seconds)

    @property
    def _asked(self) -> int:
        return max(1, self.marks[-1].done - self.start.done)

    def memory(self, done: int) -> float:
        """MiB that were resident when so many questions were done."""
        return next(mark for mark in self.marks if mark.done >= done).memory


@dataclass
class Report:
    """What happened.

    Attributes:
        plain: the process without a journal.
        legs: those with one, one after the other.
        size: of the journal, in bytes.
        stored: calls that stood in the journal at a kill, and how many of these were asked `again`.
        uncommitted: calls that were asked again as they were not in the journal yet.
        lost: answers that were given, but were not in the journal at a kill.
        missing: questions without an answer in the journal at the end.
    """

    plain: Leg = field(default_factory=Leg)
    legs: list[Leg] = field(default_factory=list)
    size: int = 0
    stored: int = 0
    again: int = 0
    uncommitted: int = 0
    lost: int = 0
    missing: int = 0

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not (self.again or self.lost or self.missing)


class _Ledger:
    """What was asked and given, question by question."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._asked = bytearray(order.questions)
        self._stored = bytearray(order.questions)
        self._read = 0

    def close_leg(self, report: Report) -> None:
        """Count what the last process did, and what stands in the journal now."""
        asked = _numbers(Path(self._order.asked), self._read)
        self._read += len(asked) * NUMBER.size
        for number in asked:
            report.again += self._stored[number]
            report.uncommitted += self._asked[number] and not self._stored[number]
            self._asked[number] = 1
        with closing(sqlite3.connect(self._order.journal)) as journal:
            rows = journal.execute("SELECT run_id FROM calls WHERE json_extract(body, '$.outcome') = 'answered'")
            for (run_id,) in rows:
                self._stored[int(run_id.split(".")[1].split("-")[0])] = 1
            (answered,) = journal.execute(
                "SELECT count(*) FROM runs WHERE json_extract(body, '$.status') = 'answered'"
            ).fetchone()
        given = set(_numbers(Path(self._order.given), 0))
        Path(self._order.given).unlink(missing_ok=True)
        report.lost += sum(not self._stored[number] for number in given)
        report.stored = sum(self._stored)
        report.missing = self._order.questions - answered


def _numbers(path: Path, start: int) -> list[int]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(start)
        return [number for (number,) in NUMBER.iter_unpack(file.read())]


def _leg(order: Order, kill_at: int | None, delay: float) -> Leg:
    """Let a process do it, and kill it `delay` seconds after so many questions."""
    command = [sys.executable, "-m", "benchmarks.batch_worker", json.dumps(asdict(order))]
    leg = Leg()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            leg.marks.append(Mark(**json.loads(line)))
            if sys.stderr.isatty():
                print(f"{leg.marks[-1].done:,} done", end="\r", file=sys.stderr)
            if kill_at is not None and leg.marks[-1].done >= kill_at:
                time.sleep(delay)
                # It has not been waited for, so that the number is still its own.
                process.send_signal(signal.SIGKILL)
                break
    leg.killed = process.returncode == -signal.SIGKILL
    if process.returncode and not leg.killed:
        raise RuntimeError(f"the batch ended with status {process.returncode}")
    return leg


def measured(
    questions: int, kills: int, concurrency: int, seed: int, folder: Path, *, plain: int | None = None
) -> Report:
    """Go through all questions twice: without a journal (`plain` of them, if that is given), and with one and kills."""
    chance, report = random.Random(seed), Report()
    paths = [str(folder / name) for name in ("asked", "given")]
    report.plain = _leg(Order(plain or questions, concurrency, "", *paths), None, 0.0)
    for path in paths:
        Path(path).unlink()
    order = Order(questions, concurrency, str(folder / "batch.db"), *paths)
    ledger = _Ledger(order)
    moments = sorted(chance.randrange(questions // 20, questions - questions // 20) for _ in range(kills))
    for moment in (*moments, None):
        report.legs.append(_leg(order, moment, chance.random() * 0.05))
        ledger.close_leg(report)
    report.size = sum(path.stat().st_size for path in folder.glob("batch.db*"))
    return report


def show(report: Report, questions: int) -> None:
    """Print the tables, as markdown."""
    print(
        "| | found in the journal | in seconds | asked | CPU a question, ms | questions a second | MiB at first ",
        end="",
    )
    print("| at the end | at most |\n|---|" + "--:|" * 8)
    rows = [("no journal", report.plain)]
    rows += [(f"process {place}{', killed' if leg.killed else ''}", leg) for place, leg in enumerate(report.legs, 1)]
    for name, leg in rows:
        start, end = leg.start, leg.marks[-1]
        found = max(0, start.done - start.asked)
        print(
            f"| {name} | {found:,} | {start.seconds if found else 0:.1f} | {end.asked:,} | {leg.cpu:.2f} "
            f"| {leg.rate:,.0f} | {start.memory:.0f} | {end.memory:.0f} | {end.peak:.0f} |"
        )
    print(f"\n| MiB resident, of all | {' | '.join(f'at {share:.0%}' for share in TOLD)} |")
    print("|---|" + "--:|" * len(TOLD))
    for name, leg in (("no journal", report.plain), ("a journal, the last process", report.legs[-1])):
        print(f"| {name} | {' | '.join(f'{leg.memory(int(share * leg.marks[-1].done)):.0f}' for share in TOLD)} |")
    figures: list[tuple[str, object]] = [
        ("journal, MiB", f"{report.size / 2**20:,.0f}"),
        ("journal, bytes a question", f"{report.size / questions:,.0f}"),
        ("given before a kill, and lost", report.lost),
        ("in the journal, and asked again", report.again),
        ("not in the journal yet at a kill, and asked again", report.uncommitted),
        ("not answered at the end", report.missing),
    ]
    print("\n| | |\n|---|--:|")
    for name, value in figures:
        print(f"| {name} | {value} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was measured; 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--questions", type=int, default=20_000)
    parser.add_argument("--plain", type=int, help="how many of them without a journal; all if not given")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the raw figures to this file, as JSON")
    given = parser.parse_args(arguments)
    settings = {name: value for name, value in vars(given).items() if name != "out"}
    print(f"{json.dumps(settings)}\n{json.dumps(machine())}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        told = (given.questions, given.kills, given.concurrency, given.seed, Path(folder))
        report = measured(*told, plain=given.plain)
    show(report, given.questions)
    if given.out:
        given.out.write_text(json.dumps({"machine": machine(), **settings, **asdict(report)}) + "\n")
    return 0 if report.kept else 1


if __name__ == "__main__":
    sys.exit(main())
