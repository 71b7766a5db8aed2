"""A limit on time counts the time that a run works, not the time that people take."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
import trio.testing

from contemplate import Agent, Answer, Contemplator, Limits, PendingCall, Task, TaskContext
from contemplate.journal import Journal
from contemplate.run.clock import RunClock
from contemplate.testing import ScriptedModel

from .scene import Office, calls, join, mailing, parts

CLOCK: Any = ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})
JUMPING = pytest.mark.parametrize("anyio_backend", [CLOCK], ids=["trio"])


def mailer(office: Office, seconds: float) -> tuple[ScriptedModel, Any]:
    """A model and an agent whose turns take so many seconds each."""

    async def think(request: Any) -> Any:
        await anyio.sleep(seconds)
        return calls(("mail", {"to": "ann"})) if len(model.requests) % 2 else "done"

    model = ScriptedModel(think)
    return model, [office.mail()]


@pytest.mark.anyio
@JUMPING
async def test_waiting_for_an_approval_takes_no_time() -> None:
    async def approve(call: PendingCall) -> bool:
        await anyio.sleep(3600)
        return True

    model, tools = mailer(Office(), 2.0)
    mind = Contemplator(model, mode="instant", tools=tools, limits=Limits(seconds=5), approve=approve)
    result = await mind.run("q")
    assert (result.text, result.status) == ("done", "answered")
    assert result.seconds == pytest.approx(4.0)


@pytest.mark.anyio
@JUMPING
async def test_time_passes_while_others_work() -> None:
    async def approve(call: PendingCall) -> bool:
        await anyio.sleep(3600)
        return True

    office = Office()
    plain = Agent(tools=[office.mail()])

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        if task.id == "b":
            await anyio.sleep(60)
            return Answer("b")
        return await plain(task, ctx)

    mind = Contemplator(
        mailing("a"), planner=parts("a", "b"), aggregator=join, agent=agent, limits=Limits(seconds=30), approve=approve
    )
    result = await mind.run("q")
    assert result.stopped_by == "seconds"
    assert result.seconds == pytest.approx(30, abs=1)


@pytest.mark.anyio
@JUMPING
async def test_the_time_before_a_suspension_counts_and_that_between_does_not() -> None:
    journal = Journal()
    model, tools = mailer(Office(), 2.0)
    mind = Contemplator(model, mode="instant", tools=tools, limits=Limits(seconds=5), journal=journal)
    result = await mind.run("q")
    assert result.seconds == pytest.approx(2.0, abs=0.1)
    await anyio.sleep(86_400)
    done = await mind.resume(result.run_id, {result.pending[0].id: True})
    assert (done.text, done.status) == ("done", "answered")
    assert done.seconds == pytest.approx(4.0, abs=0.1)

    model, tools = mailer(Office(), 2.0)
    mind = Contemplator(model, mode="instant", tools=tools, limits=Limits(seconds=3), journal=journal)
    result = await mind.run("q")
    record = journal.load(result.run_id)
    assert record is not None
    assert (record.status, record.seconds) == ("suspended", result.seconds)
    done = await mind.resume(result.run_id, {result.pending[0].id: True}, limits=Limits(seconds=4.5))
    assert done.status == "answered"


@pytest.mark.anyio
async def test_a_clock_that_stands_moves_its_deadlines() -> None:
    clock = RunClock()
    began = clock.start(10.0)
    moved: list[float] = []
    clock.on_moved = moved.append
    with anyio.CancelScope(deadline=began + 100) as scope, clock.limits(scope):
        clock.run(running=False)
        clock.run(running=False)
        assert scope.deadline == float("inf")
        stood = clock.seconds
        await anyio.sleep(0.01)
        assert clock.seconds == stood
        clock.run(running=True)
        assert scope.deadline == pytest.approx(began + 100 + moved[0])
        assert moved[0] > 0
    assert clock.seconds >= 10.0
