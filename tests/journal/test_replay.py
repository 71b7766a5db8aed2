"""Runs that are gone through again, offline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from contemplate import Budget, Contemplator, Limits, RunContext, Task, TaskResult, aggregators, planners
from contemplate.errors import AggregationError, JournalError, ModelRequestError, QuorumNotReached, ReplayError
from contemplate.events import Event, ModelCalled, TaskFinished
from contemplate.journal import Journal
from contemplate.models import ModelRequest
from contemplate.result import RunResult
from contemplate.run.protocols import Aggregator
from contemplate.run.run import Job
from contemplate.testing import ScriptedModel

from ..still_clock import on_a_still_clock, outlast

pytestmark = pytest.mark.anyio

QUESTION = "Which?"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "runs.db")


def shape(result: RunResult[str]) -> object:
    """What a replay must bring back: all but times."""
    update: dict[str, object] = {"started": 0.0, "seconds": 0.0}
    tasks = tuple(task.model_copy(update=update) for task in result.tasks)
    return result.model_copy(update={"seconds": 0.0, "tasks": tasks})


PLAN = (
    '{"tasks": [{"title": "A", "prompt": "alpha", "needs": []}, {"title": "B", "prompt": "beta", "needs": [1]},'
    ' {"title": "C", "prompt": "gamma", "needs": []}]}'
)


def planned(request: ModelRequest) -> str | Exception:
    text = request.messages[-1].text
    if request.output_schema is not None:
        return PLAN
    if "gamma" in text and "Task" not in text:
        return ModelRequestError("no gamma", model="scripted")
    return f"said {len(text)}"


async def test_a_run_comes_out_as_it_was(journal: Journal) -> None:
    mind = Contemplator(ScriptedModel(planned), planner=planners.model(), journal=journal)
    first = await mind.run(QUESTION, run_id="r")
    assert [task.outcome for task in first.tasks].count("answered") >= 2
    events: list[Event] = []
    offline = ScriptedModel([])
    replayed = await Contemplator(offline, planner=planners.model(), journal=journal, on_event=events.append).replay(
        "r"
    )
    assert shape(replayed) == shape(first)
    assert not offline.requests
    assert all(event.recorded for event in events if isinstance(event, ModelCalled))


async def test_an_error_comes_out_as_it_was(journal: Journal) -> None:
    def script(request: ModelRequest) -> Exception:
        return ModelRequestError("never", model="scripted")

    mind = Contemplator(ScriptedModel(script), mode="instant", journal=journal)
    with pytest.raises(AggregationError, match="never") as first:
        await mind.run(QUESTION, run_id="r")
    with pytest.raises(AggregationError) as again:
        await Contemplator(ScriptedModel([]), mode="instant", journal=journal).replay("r")
    assert str(again.value) == str(first.value)
    assert again.value.partial is not None
    assert shape(again.value.partial) == shape(first.value.partial)  # type: ignore[arg-type]


async def arrivals(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    return " ".join([result.id async for result in results])


async def test_results_come_in_the_order_in_which_they_came(journal: Journal) -> None:
    turns = [anyio.Event() for _ in range(9)]
    order = [3, 1, 4, 0, 5, 8, 2, 6, 7]

    async def script(request: ModelRequest) -> str:
        number = int(request.messages[-1].text.split()[-1])
        await turns[number].wait()
        return str(number)

    async def nine(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for number in range(9):
            yield Task(id=str(number), prompt=str(number))

    model = ScriptedModel(script)
    mind = Contemplator(model, planner=nine, aggregator=arrivals, journal=journal)
    async with anyio.create_task_group() as group:

        async def let() -> None:
            while len(model.requests) < 9:
                await anyio.lowlevel.checkpoint()
            for number in order:
                turns[number].set()
                await anyio.wait_all_tasks_blocked()

        group.start_soon(let)
        first = await mind.run(QUESTION, run_id="r")
    assert first.output == " ".join(map(str, order))
    replayed = await Contemplator(ScriptedModel([]), planner=nine, aggregator=arrivals, journal=journal).replay("r")
    assert replayed.output == first.output


async def test_a_vote_that_was_decided_early(journal: Journal) -> None:
    started = 0
    all_out = anyio.Event()

    async def script(request: ModelRequest) -> str:
        nonlocal started
        started += 1
        mine = started
        if started == 9:
            all_out.set()
        await all_out.wait()
        if mine > 5:
            await anyio.sleep_forever()
        return "blue"

    def mind(model: ScriptedModel) -> Contemplator[str]:
        vote = aggregators.vote(key=str)
        return Contemplator(model, planner=planners.sample(9), aggregator=vote, journal=journal)

    first = await mind(ScriptedModel(script)).run(QUESTION, run_id="r")
    assert [task.outcome for task in first.tasks].count("cancelled") == 4
    replayed = await mind(ScriptedModel([])).replay("r")
    assert shape(replayed) == shape(first)


@on_a_still_clock
async def test_a_run_that_was_cut_off_by_its_deadline(journal: Journal) -> None:
    answered = anyio.Event()

    async def script(request: ModelRequest) -> str:
        if "beta" in request.messages[-1].text and len(request.messages[-1].text) < 200:
            await answered.wait()
            await outlast()
        return "fine"

    def hear(event: Event) -> None:
        if isinstance(event, TaskFinished):
            answered.set()

    async def two(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="alpha")
        yield Task(id="b", prompt="beta")

    def mind(model: ScriptedModel) -> Contemplator[str]:
        return Contemplator(model, planner=two, journal=journal, limits=Limits(seconds=80), on_event=hear)

    first = await mind(ScriptedModel(script)).run(QUESTION, run_id="r")
    assert (first.stopped_by, first.missing) == ("seconds", ("b",))
    replayed = await mind(ScriptedModel([])).replay("r")
    assert shape(replayed) == shape(first)


@on_a_still_clock
async def test_an_aggregator_that_was_cut_off(journal: Journal) -> None:
    async def script(request: ModelRequest) -> str:
        if "<<" in request.messages[-1].text:
            await outlast()
        return "fine"

    async def two(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="alpha")
        yield Task(id="b", prompt="beta")

    def mind(model: ScriptedModel) -> Contemplator[str]:
        return Contemplator(model, planner=two, journal=journal, limits=Limits(seconds=80))

    first = await mind(ScriptedModel(script)).run(QUESTION, run_id="r")
    assert first.stopped_by == "seconds"
    replayed = await mind(ScriptedModel([])).replay("r")
    assert shape(replayed) == shape(first)


async def test_a_call_that_differs_is_shown(journal: Journal) -> None:
    def mind(word: str) -> Contemplator[str]:
        return Contemplator(ScriptedModel("a"), mode="instant", instructions=f"Answer in {word}.", journal=journal)

    await mind("Fran\u00e7ais").run(QUESTION, run_id="r")
    with pytest.raises(ReplayError) as caught:
        await mind("German").replay("r")
    said = str(caught.value)
    assert "subagent for task" in said
    assert any(line.startswith("-") and "Fran\u00e7ais" in line for line in said.splitlines())
    assert any(line.startswith("+") and "German" in line for line in said.splitlines())


async def test_a_divergence_in_one_of_many_tasks_is_not_swallowed(journal: Journal) -> None:
    def plan(last: str) -> Contemplator[str]:
        async def tasks(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            yield Task(id="a", prompt="alpha")
            yield Task(id="b", prompt=last)

        return Contemplator(ScriptedModel("x"), planner=tasks, journal=journal)

    await plan("beta").run(QUESTION, run_id="r")
    with pytest.raises(ReplayError, match="task 'b'"):
        await plan("delta").replay("r")


async def test_another_answer_is_a_divergence(journal: Journal) -> None:
    def mind(aggregator: Aggregator) -> Contemplator[str]:
        return Contemplator(ScriptedModel("x"), planner=planners.sample(2), aggregator=aggregator, journal=journal)

    await mind(aggregators.vote(stop=None, key=str)).run(QUESTION, run_id="r")
    with pytest.raises(ReplayError, match="a different answer"):
        await mind(arrivals).replay("r")


async def test_a_run_that_never_ended(journal: Journal) -> None:
    async def script(request: ModelRequest) -> str:
        await anyio.sleep_forever()
        return ""

    model = ScriptedModel(script)
    mind = Contemplator(model, mode="instant", journal=journal)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: mind.run(QUESTION, run_id="r"))
        await anyio.wait_all_tasks_blocked()
        while not model.requests:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    for again in (mind.replay, mind.reaggregate):
        with pytest.raises(JournalError, match="'r' is not finished"):
            await again("r")
    with pytest.raises(JournalError, match="no run 'x'"):
        await mind.replay("x")


async def test_a_quorum_that_was_missed(journal: Journal) -> None:
    def mind(model: ScriptedModel) -> Contemplator[str]:
        vote = aggregators.vote(key=lambda _: None, stop=None)
        return Contemplator(model, planner=planners.sample(3), aggregator=vote, journal=journal)

    with pytest.raises(QuorumNotReached):
        await mind(ScriptedModel("x")).run(QUESTION, run_id="r")
    with pytest.raises(QuorumNotReached):
        await mind(ScriptedModel([])).replay("r")


def test_a_replay_ends_as_recorded_whatever_it_would_take() -> None:
    job = Job(question="q", limits=Limits(seconds=1, cost_usd=1, calls=3), budgets=(Budget("b", calls=1),))
    replayed = job.without_clock()
    assert replayed.limits == Limits(calls=3)
    assert replayed.budgets == ()
