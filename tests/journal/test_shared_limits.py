"""`Limit` with a journal: gates of several processes, threads and event loops, some of which are killed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import pytest

from contemplate import Contemplator, Message
from contemplate.errors import ConfigurationError, JournalError, ModelRateLimitError
from contemplate.journal import open_journal
from contemplate.journal.account_limits import AccountStatus, JournalAccounts
from contemplate.journal.account_limits.gates import LEASE, SUSPECTED
from contemplate.models import Limit, ModelRequest
from contemplate.models.wrappers.rate_limit import Allowed, exchange_thread
from contemplate.models.wrappers.rate_limit.shared_gate import SharedGate
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from ..postgres import PostgresServer
from ..processes import Process

HANGS = """
import sys, anyio
from contemplate import Message
from contemplate.models import Limit, ModelRequest
class Hangs:
    name = "us"
    async def request(self, request, on_delta=None):
        print("asked", flush=True)
        await anyio.sleep_forever()
anyio.run(Limit(Hangs(), concurrency=1, journal=sys.argv[1]).request, ModelRequest((Message.user("?"),)))
"""
# A fork, and what it was forked from, are two.
FORKS = """
import os, sys, anyio
from contemplate import Message
from contemplate.models import Limit, ModelRequest
from contemplate.testing import ScriptedModel
model = Limit(ScriptedModel("x"), account="us", concurrency=1, journal=sys.argv[1])
async def ask():
    print((await model.request(ModelRequest((Message.user("?"),)))).message.text, flush=True)
anyio.run(ask)
child = os.fork()
anyio.run(ask)
if child:
    os.waitpid(child, 0)
"""


def asking() -> ModelRequest:
    return ModelRequest((Message.user("?"),))


def status(name: str) -> AccountStatus:
    with closing(open_journal(name)) as journal:
        (found,) = JournalAccounts(journal).status()
    return found


async def shows(name: str, in_flight: int, waiting: int) -> None:
    """Wait until so many calls are in flight, and so many wait."""
    with anyio.fail_after(PATIENCE):
        while await anyio.to_thread.run_sync(counts, name) != (in_flight, waiting):
            await anyio.sleep(0.005)


def counts(name: str) -> tuple[int, int]:
    with closing(open_journal(name)) as journal:
        found = JournalAccounts(journal).status()
    return (found[0].in_flight, found[0].waiting) if found else (0, 0)


async def settled(name: str) -> AccountStatus:
    """The account when nothing is in flight any more."""
    await shows(name, 0, 0)
    return await anyio.to_thread.run_sync(status, name)


def gates(name: str, allowed: Allowed, number: int = 2) -> list[SharedGate]:
    """Gates as of so many processes."""
    return [SharedGate(JournalAccounts(open_journal(name)), "us", allowed) for _ in range(number)]


@pytest.mark.anyio
class TestGates:
    async def test_several_never_exceed_what_is_allowed_and_use_all_of_it(self, name: str) -> None:
        out, full, done = set[int](), anyio.Event(), 0
        scopes = [anyio.CancelScope() for _ in range(24)]
        both = gates(name, Allowed(concurrency=3))

        async def call(gate: SharedGate, number: int) -> None:
            nonlocal done
            with scopes[number]:
                permit = await gate.enter(None, asking())
                out.add(number)
                try:
                    assert len(out) <= 3
                    if len(out) == 3:
                        full.set()
                    await full.wait()
                finally:
                    out.remove(number)
                    gate.ended(permit)
                done += 1

        async with anyio.create_task_group() as group:
            for number in range(24):
                group.start_soon(call, both[number % 2], number)
            await full.wait()
            for scope in scopes[3::4]:
                scope.cancel()
        assert 18 <= done <= 24
        assert (await settled(name)).processes == 2

    async def test_a_pause_holds_for_all_processes(self, name: str) -> None:
        one, other = gates(name, Allowed())
        first, second = await one.enter(None, asking()), await other.enter(None, asking())
        # The other's is in flight beside it.
        assert not other.refused(second, 3600.0)
        one.ended(first)
        found = await settled(name)
        assert found.paused_seconds > 0
        async with anyio.create_task_group() as group:
            group.start_soon(one.enter, None, asking())
            await shows(name, 0, 1)
            group.cancel_scope.cancel()
        await settled(name)

    async def test_a_call_that_is_refused_beside_one_of_another_process_waits_for_its_turn(self, name: str) -> None:
        refusals = iter([ModelRateLimitError("slow down", model="us", retry_after=0.0)])
        model = Limit(ScriptedModel(lambda _: next(refusals, "x")), account="us", concurrency=2, journal=name)
        (other,) = gates(name, Allowed(concurrency=2), 1)
        permit = await other.enter(None, asking())
        async with anyio.create_task_group() as group:
            group.start_soon(model.request, asking())
            with anyio.fail_after(PATIENCE):
                while (await anyio.to_thread.run_sync(status, name)).accepted != 1:
                    await anyio.sleep(0.01)
            other.ended(permit)
        await settled(name)

    async def test_runs_of_a_contemplator(self, name: str) -> None:
        model, began = Limit(ScriptedModel("4"), requests_per_minute=60, journal=name), time.monotonic()
        result = await Contemplator(model, mode="vote", journal=name).run("2 + 2?")
        assert result.output == "4"
        found = await settled(name)
        assert (found.account, found.requests_per_minute) == ("scripted", 60)
        # One more each second.
        assert found.requests_left is not None
        assert 0 <= found.requests_left - (60 - result.usage.calls) <= time.monotonic() - began


def test_event_loops_of_several_threads_share_what_is_allowed(name: str) -> None:
    lock, out, most = threading.Lock(), 0, 0

    async def reply(request: ModelRequest) -> str:
        nonlocal out, most
        with lock:
            out += 1
            most = max(most, out)
        await anyio.sleep(0.001)
        with lock:
            out -= 1
        return "x"

    model = Limit(ScriptedModel(reply), account="us", concurrency=2, journal=name)

    async def several() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(model.request, asking())

    loops = [threading.Thread(target=partial(anyio.run, several, backend=each)) for each in ("asyncio", "trio")]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    assert 1 <= most <= 2
    anyio.run(settled, name)


def test_a_loop_that_ends_gives_back_what_was_under_way(name: str) -> None:
    model = Limit(ScriptedModel(lambda _: anyio.sleep_forever()), account="us", concurrency=1, journal=name)  # type: ignore[arg-type, return-value]
    left: list[asyncio.Task[object]] = []

    async def main() -> None:
        left.extend(asyncio.ensure_future(model.request(asking())) for _ in range(2))
        await shows(name, 1, 1)

    asyncio.run(main())
    assert all(task.cancelled() for task in left)
    anyio.run(settled, name)


def test_a_process_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"sqlite:///{tmp_path / 'runs.db'}"
    with start(HANGS, name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGKILL)
    assert status(name).in_flight == 1
    passed, clock = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: clock() + passed[0])

    async def ask() -> None:
        model = Limit(ScriptedModel("x", name="us"), concurrency=1, journal=name)
        async with anyio.create_task_group() as group:
            for number, seconds in enumerate((LEASE, SUSPECTED)):
                # Each asks, and sees whether the other one lives.
                group.start_soon(model.request, asking())
                await shows(name, 1, number + 1)
                passed[0] += seconds
            group.start_soon(model.request, asking())

    anyio.run(ask)
    anyio.run(settled, name)


def test_a_process_that_ends_leaves_nothing_in_flight(name: str) -> None:
    with start(FORKS, name) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "x\n" * 3)
    assert counts(name) == (0, 0)


def start(code: str, journal: str) -> subprocess.Popen[str]:
    return Process[str]([sys.executable, "-c", code, journal], stdout=subprocess.PIPE, text=True)


@pytest.mark.anyio
async def test_a_journal_that_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, seconds in {"PATIENCE": 0.05, "TRY": 0.01, "PAUSE": 0.01}.items():
        monkeypatch.setattr(exchange_thread, constant, seconds)
    path = tmp_path / "runs.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def reply(request: ModelRequest) -> str:
        other.execute("BEGIN IMMEDIATE")
        return "x"

    inner = ScriptedModel(reply)
    model = Limit(inner, account="us", concurrency=1, journal=f"sqlite:///{path}")
    with closing(other):
        # What was paid for is there, although nobody can be told.
        assert (await model.request(asking())).message.text == "x"
        with pytest.raises(JournalError, match="limits of account 'us': .*another process is writing"):
            await model.request(asking())
        assert len(inner.requests) == 1
        other.execute("COMMIT")
    await settled(f"sqlite:///{path}")


@pytest.mark.anyio
async def test_a_server_that_crashes(postgres: PostgresServer) -> None:
    name = postgres.address()
    (gate,) = gates(name, Allowed(concurrency=1), 1)
    permit = await gate.enter(None, asking())
    await anyio.to_thread.run_sync(postgres.restart)
    gate.ended(permit)
    with anyio.fail_after(PATIENCE):
        gate.ended(await gate.enter(None, asking()))
    await settled(name)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"journal": "runs.db"}, "journal 'runs.db' has an unknown form"),
        ({"journal": "memory:", "account": "a\nb"}, "characters that can be printed"),
        ({"journal": "memory:", "account": "x" * 201}, "1 to 200 characters"),
        ({"journal": 5}, r"Limit\(journal=...\) is a int"),
    ],
)
def test_what_is_given_wrongly_is_told(options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Limit(ScriptedModel("x"), concurrency=1, **options)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_an_account_has_one_set_of_limits_in_a_process(tmp_path: Path) -> None:
    name = f"sqlite:///{tmp_path / 'runs.db'}"
    await Limit(ScriptedModel("x"), account="us", concurrency=1, journal=name).request(asking())
    with pytest.raises(ConfigurationError, match="account 'us' has the limits"):
        await Limit(ScriptedModel("x"), account="us", concurrency=2, journal=name).request(asking())
    # Without the journal it is another account.
    await Limit(ScriptedModel("x"), account="us", concurrency=2).request(asking())
    await settled(name)
