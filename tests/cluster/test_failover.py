"""Workers that die, stand still or are told to end: their runs go on elsewhere, and no call is made twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from contemplate.cluster import Client, Handle
from contemplate.events import ModelCalled

from ..postgres import PostgresServer
from ..processes import ROOT, Process
from .stage import Stage, until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

MIND = "tests.cluster.stage:voters"


@contextmanager
def worker(url: str, stage: Stage, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "contemplate", "worker", MIND, "--journal", url, *options]
    environment = os.environ | {"STAGE": str(stage.folder)}
    log = (stage.folder / "log").open("a")
    with log, Process[str](command, cwd=ROOT, env=environment, stdout=log, stderr=log) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGCONT)
                running.kill()
            running.wait()


async def two_answered(handle: Handle) -> None:
    """Wait until two calls of the run are in the journal."""
    told = 0
    async for event in handle.events():
        told += isinstance(event, ModelCalled)
        if told == 2:
            return


async def test_a_run_survives_its_workers(url: str, on_stage: Stage) -> None:
    def asked_by(running: subprocess.Popen[Any]) -> list[int]:
        return [seed for pid, seed, _ in on_stage.asked() if pid == running.pid]

    async with Client(url) as client:
        with worker(url, on_stage) as first:
            await until(lambda: "Working as" in (on_stage.folder / "log").read_text())
            handle = await client.submit("wait 2", mind=MIND, run_id="survivor")
            await two_answered(handle)
            first.kill()
        with worker(url, on_stage) as second:
            await until(lambda: 2 in asked_by(second))
            second.send_signal(signal.SIGSTOP)
            with worker(url, on_stage) as third:
                await until(lambda: 2 in asked_by(third))
                on_stage.open()
                result = await handle.result()
                # What it was asked is answered now, and the run would go on there, too.
                second.send_signal(signal.SIGCONT)
                seen: list[tuple[int, bool, int]] = []

                async def is_back() -> bool:
                    seen[:] = [(each.pid, each.alive, each.runs) for each in await client.workers()]
                    return (second.pid, True, 0) in seen

                while not await is_back():
                    assert second.poll() is None
                assert asked_by(second) == [2]
                assert sorted(asked_by(third)) == [2, 3, 4]
        assert result.complete
        assert Counter(seed for _, seed, _ in on_stage.asked()) == {0: 1, 1: 1, 2: 3, 3: 1, 4: 1}


async def test_who_is_told_to_end_gives_back_what_is_not_over(url: str, on_stage: Stage) -> None:
    async with Client(url) as client:
        with worker(url, on_stage, "--drain", "0.1") as first:
            handle = await client.submit("wait 2", mind=MIND, run_id="given-back")
            await two_answered(handle)
            with worker(url, on_stage) as second:
                first.terminate()
                assert first.wait() == 0
                await until(lambda: (second.pid, 2) in [each[:2] for each in on_stage.asked()])
                second.terminate()
                log = on_stage.folder / "log"
                await until(lambda: log.read_text().count("Ending") == 2)
                # It ends what it has begun, as there is time.
                on_stage.open()
                assert (await handle.result()).complete
                assert second.wait() == 0
                assert {first.pid, second.pid}.isdisjoint(each.pid for each in await client.workers())
    assert Counter(seed for _, seed, _ in on_stage.asked()) == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1}


async def test_a_database_that_crashes_costs_no_call(workers: str, postgres: PostgresServer, on_stage: Stage) -> None:
    async with Client(workers) as client:
        handle = await client.submit("wait 2", mind="voters")
        await two_answered(handle)
        await anyio.to_thread.run_sync(postgres.restart)
        on_stage.open()
        result = await handle.result()
    assert result.complete
    assert Counter(seed for _, seed, _ in on_stage.asked()) == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}
