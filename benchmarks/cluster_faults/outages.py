"""The database crashes, cannot be reached, or is slow, while two workers answer.

Workers and the client reach it through a proxy. In the middle of the load the network, or the database, fails in one
of the ways; then it is well again. All runs must be answered as if nothing had been, and no call be made twice.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from contemplate.cluster import Client
from tests.postgres import PostgresServer
from tests.proxy import Proxy

from .scene import Answers, Scene, ask_all, opened, repeated, server, swapped

RUNS, CALL_SECONDS, BEFORE = 24, "0.5-1.5", 4.0
DELAY, AT_ONCE = 0.2, 16_384

Trouble = Callable[[PostgresServer, Proxy, float], None]


def crash(database: PostgresServer, proxy: Proxy, seconds: float) -> None:
    """Let the database crash, and start it again at once."""
    database.restart()


def refuse(database: PostgresServer, proxy: Proxy, seconds: float) -> None:
    """Let nobody connect, and end all connections."""
    proxy.refuse()
    time.sleep(seconds)
    proxy.open()


def hold(database: PostgresServer, proxy: Proxy, seconds: float) -> None:
    """Let nothing through, and then all of it."""
    proxy.hold()
    time.sleep(seconds)
    proxy.open()


def lose(database: PostgresServer, proxy: Proxy, seconds: float) -> None:
    """Let nothing through, and forget it and its connections."""
    proxy.hold()
    time.sleep(seconds)
    proxy.reset()
    proxy.open()


def slow(database: PostgresServer, proxy: Proxy, seconds: float) -> None:
    """Let each piece wait."""
    proxy.slow(DELAY, AT_ONCE)
    time.sleep(seconds)
    proxy.open()


TROUBLES: dict[str, Trouble] = {"crash": crash, "refuse": refuse, "hold": hold, "lose": lose, "slow": slow}


@dataclass
class Outcome:
    """What came of a load."""

    seconds: float
    answers: Answers
    calls: int
    meanwhile: int
    again: int
    swapped: int
    said: list[str]

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return len(self.answers.runs) == self.answers.equal == RUNS and not self.again and not self.swapped


async def measured(trouble: Trouble, seconds: float, runs: int = RUNS) -> Outcome:
    """Let two workers answer, and have this trouble."""
    heard = _Heard()
    logging.getLogger("contemplate").addHandler(heard)
    with server() as database, closing(Proxy(database.port)) as proxy, tempfile.TemporaryDirectory() as folder:
        direct, answers = database.address(), Answers()
        through = direct.replace(f":{database.port}/", f":{proxy.port}/")
        with closing(Scene(through, Path(folder), CALL_SECONDS)) as scene:
            for _ in range(2):
                scene.start()
            began, window = time.time(), [0.0, 0.0]
            names = [f"run-{number}" for number in range(runs)]
            async with Client(through) as client, anyio.create_task_group() as group:
                group.start_soon(ask_all, client, names, answers)
                await anyio.sleep(BEFORE)
                window[0] = time.time()
                await anyio.to_thread.run_sync(trouble, database, proxy, seconds)
                window[1] = time.time()
            taken = time.time() - began
            calls, said = scene.calls(), scene.said()
        with opened(direct) as journal:
            _, wrong = swapped(journal, names)
    logging.getLogger("contemplate").removeHandler(heard)
    made = [call for call in calls if call.what == "began"]
    return Outcome(
        taken,
        answers,
        len(made),
        sum(window[0] < call.at < window[1] for call in made),
        sum(repeated(calls).values()) - len(repeated(calls)),
        wrong + sum(call.foreign for call in calls),
        [*(f"workers: {line}" for line in said), *(f"client: {line}" for line in heard.lines)],
    )


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is said."""
        self.lines.append(record.getMessage())


def main(names: list[str], seconds: float, *, verbose: bool = False) -> bool:
    """Print a row for each, and return whether every promise was kept."""
    print(f"{RUNS} runs of 18 calls of {CALL_SECONDS} s, two workers of 4 places; {seconds:.0f} s of trouble\n")
    print("| trouble | answered | equal | calls | made meanwhile | made twice | swapped | errors | lines | seconds |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    kept = True
    for name in names or TROUBLES:
        did = anyio.run(measured, TROUBLES[name], seconds)
        kept &= did.kept
        told = did.answers
        print(
            f"| {name} | {len(told.runs)} | {told.equal} | {did.calls} | {did.meanwhile} | {did.again} "
            f"| {did.swapped} | {told.busy} | {len(did.said)} | {did.seconds:.0f} |",
            flush=True,
        )
        if verbose:
            print("\n".join(did.said))
    return kept
