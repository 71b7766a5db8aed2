"""Budgets in a journal: shared by processes, also by some that are killed, and never overdrawn unseen."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from contemplate import Budget, Contemplator
from contemplate.accounts import Amounts, Standing
from contemplate.errors import JournalError, LimitExceeded
from contemplate.journal import accounts
from contemplate.run import budget_draws
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from ..processes import Process

HANGS = """
import sys, anyio
from contemplate import Budget, Contemplator
class Hangs:
    name = "hangs"
    async def request(self, request, on_delta=None):
        print("asked", flush=True)
        await anyio.sleep_forever()
budget = Budget("us", calls=9, tokens=9000, journal=sys.argv[1])
anyio.run(Contemplator(Hangs(), mode="instant", budget=budget).run, "?")
"""
DRAWS = """
import sys, anyio
from contemplate import Budget, Contemplator
from contemplate.errors import LimitExceeded
from contemplate.testing import ScriptedModel
async def main():
    mind = Contemplator(ScriptedModel("x"), mode="instant", budget=Budget("us", calls=25, journal=sys.argv[1]))
    done = 0
    async def run():
        nonlocal done
        try:
            await mind.run("?")
            done += 1
        except LimitExceeded:
            pass
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(run)
    print(done)
anyio.run(main)
"""


def start(code: str, journal: str) -> subprocess.Popen[str]:
    return Process[str]([sys.executable, "-c", code, journal], stdout=subprocess.PIPE, text=True)


def test_two_processes_share_one(name: str) -> None:
    both = [start(DRAWS, name) for _ in range(2)]
    done = [int(each.communicate()[0]) for each in both]
    assert sum(done) == 25
    assert Budget("us", calls=25, journal=name).left().calls == 0


def test_a_process_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = f"sqlite:///{tmp_path / 'runs.db'}"
    budget = Budget("us", calls=9, tokens=9000, journal=journal)
    process = start(HANGS, journal)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "asked\n"
        standing = budget.account.look(0.0, "", 1.0)
        assert (standing.out.calls, standing.spent.calls, standing.runs) == (1, 0, 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before, now = budget.left(), time.time() + accounts.LEASE
    monkeypatch.setattr(time, "time", lambda: now)
    lost = budget.account.look(0.0, "", 1.0)
    # Nobody waits for it any more; what it may have cost is not spent a second time.
    assert (lost.out, lost.spent) == (Amounts(), standing.out)
    assert budget.left() == before
    result = Contemplator(ScriptedModel("x"), mode="instant", budget=budget).run_sync("?")
    assert result.complete
    assert budget.left().calls == 7


@pytest.mark.anyio
class TestJournals:
    async def test_a_locked_one_is_an_error_and_nothing_is_asked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(budget_draws, "PATIENCE", 0.05)
        path, model = tmp_path / "runs.db", ScriptedModel("x")
        mind = Contemplator(model, mode="instant", budget=Budget("us", calls=9, journal=f"sqlite:///{path}"))
        await mind.run("?")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="another process is writing"):
                await mind.run("?")
        assert len(model.requests) == 1

    async def test_a_lock_after_the_call_is_waited_for(self, tmp_path: Path) -> None:
        path = tmp_path / "runs.db"
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

        def reply(request: object) -> str:
            other.execute("BEGIN IMMEDIATE")
            return "x"

        budget = Budget("us", calls=9, journal=f"sqlite:///{path}")

        def unlock(event: object) -> None:
            if type(event).__name__ == "RunFinished":
                other.execute("COMMIT")

        with closing(other):
            await Contemplator(ScriptedModel(reply), mode="instant", budget=budget, on_event=unlock).run("?")
        standing = budget.account.look(0.0, "", 1.0)
        assert (standing.spent.calls, standing.out.calls) == (1, 0)

    async def test_a_call_that_outlasts_its_lease_is_still_in_flight(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(budget_draws, "RENEW", 0)
        budget = Budget("us", calls=9, journal=f"sqlite:///{tmp_path / 'runs.db'}")
        seen: list[Standing] = []

        async def reply(request: object) -> str:
            later = time.time() + accounts.LEASE
            monkeypatch.setattr(time, "time", lambda: later)
            with anyio.fail_after(PATIENCE):
                while not seen or seen[-1].out.calls == 0:
                    seen.append(budget.account.look(0.0, "", 1.0))
                    await anyio.lowlevel.checkpoint()
            return "x"

        await Contemplator(ScriptedModel(reply), mode="instant", budget=budget).run("?")
        assert (seen[-1].out.calls, seen[-1].spent.calls, seen[-1].runs) == (1, 0, 1)

    async def test_one_that_is_deleted_meanwhile_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "runs.db"

        def reply(request: object) -> str:
            for each in tmp_path.iterdir():
                each.unlink()
            return "Answer: 4"

        budget = Budget("us", calls=9, journal=f"sqlite:///{path}")
        mind = Contemplator(ScriptedModel(reply), mode="refine", budget=budget)
        try:
            result = await mind.run("?")
        except JournalError as error:
            assert "deleted or replaced" in str(error)
        else:
            assert not result.complete

    async def test_a_resumed_run_is_not_booked_twice(self, name: str) -> None:
        budget = Budget("us", calls=2, journal=name)
        mind = Contemplator(ScriptedModel("x"), mode="instant", budget=budget, journal=name)
        first = await mind.run("?", run_id="a")
        again = await mind.run("?", run_id="a")
        await mind.replay("a")
        assert first.output == again.output
        assert budget.left().calls == 1
        await mind.run("?")
        with pytest.raises(LimitExceeded):
            await mind.run("??")
        await mind.replay("a")
        assert budget.left().calls == 0
