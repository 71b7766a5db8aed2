"""Replayed calls take turns: each ends after those that had ended before it, and whoever is missing is passed."""

from __future__ import annotations

import math

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contemplate import Contemplator, RunContext, Task, planners
from contemplate.errors import ReplayError
from contemplate.journal import Entry, Journal, RunRecord
from contemplate.journal.replaying import Replaying
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .test_replay import arrivals

pytestmark = pytest.mark.anyio

RUN = RunRecord(run_id="r", question="q", model="m", status="answered")


def entries(count: int) -> list[Entry]:
    return [Entry(role="subagent", task=str(n), digest="d", name="m", outcome="answered") for n in range(count)]


async def ended(order: list[int], missing: set[int]) -> list[int]:
    """Let calls that come in this order, without some that were recorded, take their turns."""
    recorded = entries(len(order))
    replaying = Replaying(Journal(), RUN, recorded)
    done: list[int] = []

    async def call(number: int) -> None:
        await replaying.turn(recorded[number])
        done.append(number)

    async with anyio.create_task_group() as group:
        for number in order:
            if number not in missing:
                group.start_soon(call, number)
                await anyio.wait_all_tasks_blocked()
    return done


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contemplate.journal.replaying.LONGEST_WAIT", 0.0)


@pytest.fixture
def endless_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has to be woken by the clock never is."""
    monkeypatch.setattr("contemplate.journal.replaying.LONGEST_WAIT", math.inf)


@pytest.mark.usefixtures("endless_patience")
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]])
async def test_nobody_waits_for_the_clock(order: list[int]) -> None:
    with anyio.fail_after(PATIENCE):
        assert await ended(order, set()) == [0, 1, 2, 3]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)))
def test_the_recorded_order_holds_in_whichever_order_they_come(backend: str, order: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Else, on a busy machine, somebody is taken for missing.
        patch.setattr("contemplate.journal.replaying.LONGEST_WAIT", math.inf)
        assert anyio.run(ended, order, set(), backend=backend) == sorted(order)


@pytest.mark.usefixtures("no_patience")
@pytest.mark.parametrize("missing", [{0}, {1}, {0, 1}, {0, 2}, {1, 2, 3}])
async def test_whoever_is_missing_is_passed(missing: set[int]) -> None:
    with anyio.fail_after(PATIENCE):
        assert sorted(await ended([0, 1, 2, 3, 4], missing)) == sorted({0, 1, 2, 3, 4} - missing)


async def test_the_first_of_those_who_wait_goes_on_and_wakes_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """One wait passes a call that is missing; those behind it need none of their own, and keep their order."""
    monkeypatch.setattr("contemplate.journal.replaying.LONGEST_WAIT", 0.05)
    for order in ([1, 2, 3, 0], [3, 2, 1, 0], [2, 3, 1, 0]):
        with anyio.fail_after(PATIENCE):
            assert await ended(order, {0}) == [1, 2, 3]


async def test_who_gave_up_leaves_no_place_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that was cancelled while it waited does not keep those behind it from passing a missing one."""
    recorded = entries(3)
    replaying = Replaying(Journal(), RUN, recorded)
    monkeypatch.setattr("contemplate.journal.replaying.LONGEST_WAIT", math.inf)
    async with anyio.create_task_group() as group:
        group.start_soon(replaying.turn, recorded[1])
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    monkeypatch.setattr("contemplate.journal.replaying.LONGEST_WAIT", 0.0)
    with anyio.fail_after(PATIENCE):
        await replaying.turn(recorded[2])


async def test_a_task_more_than_was_recorded_is_a_divergence() -> None:
    journal = Journal()

    def mind(tasks: int) -> Contemplator[str]:
        return Contemplator(
            ScriptedModel("x"), planner=planners.sample(tasks, seed=0), aggregator=arrivals, journal=journal
        )

    await mind(2).run("q", run_id="r")
    with pytest.raises(ReplayError, match="no such call was made when it was recorded"):
        await mind(3).replay("r")


async def test_a_task_less_than_was_recorded_is_a_divergence() -> None:
    journal = Journal()

    def mind(tasks: int) -> Contemplator[str]:
        async def plan(question: str, ctx: RunContext):  # type: ignore[no-untyped-def]
            for number in range(tasks):
                yield Task(id=str(number), prompt=str(number))

        return Contemplator(ScriptedModel("x"), planner=plan, aggregator=arrivals, journal=journal)

    await mind(3).run("q", run_id="r")
    with pytest.raises(ReplayError, match="a different answer"):
        await mind(2).replay("r")
