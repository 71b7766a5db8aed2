"""Runs that wait are remembered for a while, and only so many."""

from __future__ import annotations

import pytest

from contemplate import Contemplator, Returned, external_tool
from contemplate.decisions import PendingCall
from contemplate.result import RunResult
from contemplate.server.deltas import NOTHING_TOLD
from contemplate.server.neutral_request import Asked, Question
from contemplate.server.waiting_runs import WaitingRuns, as_known, suspended
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio

LOOK = external_tool("look")
MIND = Contemplator(ScriptedModel([]))


def call(run_id: str) -> PendingCall:
    return PendingCall(id="look-0123456789", run_id=run_id, tool="look", kind="external")


def keep(runs: WaitingRuns, run_id: str) -> str:
    """Keep a run, and return the id of its call as its client knows it."""
    pending = call(run_id)
    result = RunResult[None](run_id=run_id, question="?", output=None, text="", pending=(pending,))
    runs.keep(suspended(asked(), result, NOTHING_TOLD, None))
    return as_known(pending).id


def asked(*returned: str, mind: Contemplator[str] = MIND) -> Asked:
    return Asked(mind, "m", Question("?"), tools=(LOOK,), returned={each: Returned("seen") for each in returned})


async def test_a_run_is_found_by_a_call_and_then_taken() -> None:
    runs = WaitingRuns()
    known = keep(runs, "aaaa")
    keep(runs, "bbbb")
    found = await runs.take(asked("call_of_somebody", known))
    assert found is not None
    assert (found.run_id, found.decisions) == ("aaaa", {"look-0123456789": Returned("seen")})
    assert await runs.take(asked(known)) is None
    assert len(runs) == 1


async def test_of_too_many_the_oldest_are_forgotten() -> None:
    runs = WaitingRuns(most=2)
    known = [keep(runs, name) for name in ("aaaa", "bbbb", "cccc")]
    assert [await runs.take(asked(each)) is not None for each in known] == [False, True, True]


async def test_after_some_time_a_run_is_forgotten() -> None:
    now = 0.0
    runs = WaitingRuns(seconds=60, clock=lambda: now)
    known = keep(runs, "aaaa")
    now = 59.0
    found = await runs.take(asked(known))
    assert found is not None
    runs.keep(found)
    now = 120.0
    assert await runs.take(asked(known)) is None
    assert len(runs) == 0


async def test_another_contemplator_does_not_go_on_with_a_run() -> None:
    runs = WaitingRuns()
    known = keep(runs, "aaaa")
    assert await runs.take(asked(known, mind=Contemplator(ScriptedModel([])))) is None
    assert await runs.take(asked(known)) is not None
