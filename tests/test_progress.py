"""How far a run is, at any moment, by its events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contemplate import Contemplator, Progress, ProgressMeter, RunContext, Task, TaskResult
from contemplate.events import RunFinished, RunSuspended, TaskFinished, TaskPlanned, TaskStarted, VoteCounted
from contemplate.testing import ScriptedModel
from contemplate.usage import Usage

from .viewer.scenes import contemplating, events_of_run, nested, voting

pytestmark = pytest.mark.anyio


async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    for each in ("1", "2", "3"):
        yield Task(id=each, prompt="?", kind="candidate", needs=("1",) if each == "3" else ())


async def test_the_numbers_of_tasks_follow_the_events() -> None:
    mind = Contemplator(ScriptedModel("42", chunk=1), planner=plan, mode="vote")
    seen: list[Progress] = []
    async with mind.stream("?") as run:
        assert run.progress == Progress()
        async for event in run:
            if isinstance(event, TaskFinished):
                seen.append(run.progress)
    last = run.progress
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert (last.done, last.running, last.over, last.planned) == (len(run.result.tasks), 0, True, True)
    assert last.usage == run.result.usage
    assert last.seconds == run.result.seconds


@pytest.mark.parametrize("make", [contemplating, voting, nested])
async def test_what_is_counted_is_what_the_run_says(make: object) -> None:
    assert callable(make)
    meter, before = ProgressMeter(), 0.0
    for event in await events_of_run(make()):
        meter.add(event)
        now = meter.progress
        assert now.done + now.running + now.to_come >= now.done >= before
        assert 0 <= now.share <= 1
        assert now.certainty is None or 0.5 <= now.certainty <= 1
        before = now.done
        if isinstance(event, RunFinished) and not event.path:
            assert now.usage == event.usage
            assert now.over


def test_a_vote_is_as_sure_as_it_is_far_ahead() -> None:
    meter = ProgressMeter()
    sure = []
    for votes in ({"a": 1}, {"a": 1, "b": 1}, {"a": 3, "b": 1}, {"a": 9, "b": 1}):
        meter.add(VoteCounted(task_id="1", votes=votes, decided=False))
        sure.append(meter.progress.certainty)
    assert sure[1] == 0.5
    assert sure[0] == 0.75
    assert 0.5 < (sure[2] or 0) < (sure[3] or 0) < 1
    meter.add(VoteCounted(task_id="1", votes={"a": 2}, decided=True))
    assert meter.progress.certainty == 1


def test_a_run_that_waits_stands_still() -> None:
    meter, task = ProgressMeter(), Task(id="1", prompt="?")
    for event in (TaskPlanned(task=task), TaskStarted(task_id="1", model="m")):
        meter.add(event)
    meter.add(TaskFinished(result=TaskResult(task=task, outcome="suspended")))
    assert (meter.progress.done, meter.progress.running, meter.progress.to_come) == (0, 0, 1)
    meter.add(RunSuspended(pending=(), usage=Usage(), seconds=2.5))
    assert (meter.progress.over, meter.progress.seconds) == (True, 2.5)
