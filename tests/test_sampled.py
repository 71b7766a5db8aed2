"""Tasks with several samples: a vote within the task, one budget, and a result that tells who said what."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel, ValidationError

from contemplate import (
    Answer,
    Contemplator,
    Limits,
    Message,
    ModelSettings,
    RunContext,
    Task,
    TaskContext,
    TaskResult,
    Usage,
    aggregators,
    planners,
    strategies,
)
from contemplate.errors import AggregationError, LimitExceeded, ModelServerError
from contemplate.events import Event, ModelCalled
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import Model, ModelRequest, ModelResponse
from contemplate.result import Dissent, RunResult
from contemplate.run.protocols import Aggregator, Planner
from contemplate.settings import derived_seed
from contemplate.testing import ScriptedModel

from .patience import PATIENCE
from .still_clock import on_a_still_clock, outlast
from .support import Held, Watched, cancelled_after, out, running, steps

pytestmark = pytest.mark.anyio

Reply = str | Exception | ModelResponse


def tasks(*planned: Task) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for task in planned:
            yield task

    return plan


async def last(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    text = ""
    async for result in results:
        text = result.text
    return text


def by_seed(*replies: Reply, reverse: bool = False) -> ScriptedModel:
    """A model that gives sample i reply i, each a little later than the one before, or a little earlier."""

    async def reply(request: ModelRequest) -> Reply:
        seed = request.settings.seed or 0
        await steps(8 * (len(replies) - seed if reverse else seed))
        return replies[seed]

    return ScriptedModel(reply)


def mind(model: Model, *planned: Task, aggregator: Aggregator = last, **more: Any) -> Contemplator[str]:
    return Contemplator(model, planner=tasks(*planned), aggregator=aggregator, **more)


async def one(model: ScriptedModel, task: Task, **more: Any) -> TaskResult:
    """What comes of a single task."""
    return (await mind(model, task, **more).run("the question")).tasks[0]


THREE = Task(id="count", prompt="How many?", samples=3)


@pytest.mark.parametrize("reverse", [False, True])
async def test_what_most_samples_say_is_the_answer(reverse: bool) -> None:
    model = by_seed("Answer: 4", "four is wrong. Answer: 5", "It is 5.0. Answer: 5.0", reverse=reverse)
    result = await one(model, THREE)
    assert (result.outcome, result.text) == ("answered", "four is wrong. Answer: 5")
    assert result.support == ("count/sample-2", "count/sample-3")
    # Where the two that agree were faster, nobody waits for the third.
    assert result.dissent == (() if reverse else (Dissent(answer="4", tasks=("count/sample-1",)),))
    assert result.usage.calls == 3


async def test_a_sample_is_shown_what_the_task_alone_would_be() -> None:
    first = Task(id="a", prompt="part a")
    model = ScriptedModel("Answer: 7")
    task = Task(id="b", prompt="part b", needs=("a",), instructions="Hurry.", samples=2)
    await mind(model, first, task).run("the question")
    single = ScriptedModel("Answer: 7")
    await mind(single, first, task.model_copy(update={"samples": 1})).run("the question")
    alone, *samples = single.requests[-1], *model.requests[1:]
    assert len(samples) == 2
    for request in samples:
        assert request.messages[0] == alone.messages[0]
        mark = re.compile(r"\b[0-9a-f]{10}\b")
        shown, told = (mark.sub("", each.messages[-1].text) for each in (alone, request))
        assert told.startswith(shown)
        assert 'one line of the form "Answer: ..."' in told[len(shown) :]
    assert [each.settings.seed for each in samples] == [0, 1]
    assert alone.settings.seed is None


async def test_the_settings_model_and_program_of_the_task_are_those_of_its_samples() -> None:
    usual, other = ScriptedModel("x"), ScriptedModel("```python\nprint(6 * 7)\n```", name="scripted")

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(
            id="a",
            prompt="a",
            model=ctx.use(other),
            samples=2,
            program=strategies.code,
            settings=ModelSettings(temperature=0.5, seed=40),
        )

    result = (await Contemplator(usual, planner=plan, aggregator=last).run("q")).tasks[0]
    assert result.text.endswith("Answer: 42")
    assert not usual.requests
    assert [(each.settings.temperature, each.settings.seed) for each in other.requests] == [
        (0.5, derived_seed(40, "a", 0)),
        (0.5, derived_seed(40, "a", 1)),
    ]
    assert all('"Answer: ..."' not in each.messages[-1].text for each in other.requests)
    assert result.model == "scripted#2"


async def test_a_task_that_needs_it_sees_the_voted_answer_only() -> None:
    def reply(request: ModelRequest) -> str:
        if "then double it" in request.messages[-1].text:
            return "doubled"
        return f"because of {request.settings.seed}. Answer: {0 if request.settings.seed == 0 else 21}"

    model = ScriptedModel(reply)
    result = await mind(model, THREE, Task(id="next", prompt="then double it", needs=("count",))).run("q")
    asked = model.requests[-1].messages[-1].text
    assert "because of 1. Answer: 21" in asked
    assert "because of 0" not in asked
    assert result.text == "doubled"


async def test_the_rest_is_cancelled_when_the_vote_is_decided() -> None:
    hangs = 0

    async def reply(request: ModelRequest) -> str:
        nonlocal hangs
        if request.settings.seed in (1, 3):
            hangs += 1
            try:
                await anyio.sleep_forever()
            finally:
                hangs -= 1
        return "Answer: 5"

    with anyio.fail_after(PATIENCE):
        result = await one(ScriptedModel(reply), Task(id="a", prompt="a", samples=5))
    assert (result.text, result.support) == ("Answer: 5", ("a/sample-1", "a/sample-3", "a/sample-5"))
    assert hangs == 0
    # What was cancelled was begun, and counts.
    assert result.usage.calls == 5


async def test_samples_that_fail_have_no_vote() -> None:
    down = ModelServerError("down", model="m")
    run = await mind(by_seed(down, "Answer: 5", down), THREE).run("q")
    # The other two might have agreed.
    assert run.notes == (
        "within 'count': something was left out of the answer",
        "2 of the 3 samples of 'count' failed: m: down",
    )
    assert not run.complete
    (result,) = run.tasks
    assert (result.outcome, result.text, result.support) == ("answered", "Answer: 5", ("count/sample-2",))
    assert result.dissent == ()


async def test_when_all_fail_the_task_fails_as_its_first_sample_did() -> None:
    model = by_seed(ModelServerError("down", model="m"), ModelServerError("up", model="m"), RuntimeError("odd"))
    run = await mind(model, THREE, Task(id="b", prompt="b", settings=ModelSettings(seed=0))).run("q")
    result = run.tasks[0]
    assert result.outcome == "failed"
    assert result.error is not None
    assert (result.error.kind, result.error.message) == ("ModelServerError", "m: down")
    assert run.missing == ("count", "b")


async def test_when_all_are_cut_off_the_task_is_as_its_first_sample_was() -> None:
    cut = [
        ModelResponse(message=Message.assistant(f"half {i}"), finish="length", usage=Usage(calls=1), model="m")
        for i in range(3)
    ]
    result = await one(by_seed(*cut), THREE)
    assert (result.outcome, result.text, result.error) == ("capped", "half 0", None)


async def test_answers_that_all_differ_leave_the_first_and_a_note() -> None:
    run = await mind(by_seed("red", "green", "blue", reverse=True), THREE).run("q")
    assert (run.text, run.tasks[0].support) == ("red", ("count/sample-1",))
    assert {each.answer for each in run.tasks[0].dissent} == {"green", "blue"}
    assert run.notes == ("no two samples of 'count' agree; the first one is taken",)


async def test_answers_that_cannot_be_read_are_an_error_and_are_kept() -> None:
    result = await one(ScriptedModel("I say.\nAnswer:"), THREE)
    assert result.outcome == "failed"
    assert result.error is not None
    assert "none of the 3 answers could be parsed" in result.error.message


@pytest.mark.parametrize("kind", ["candidate", "answer"])
async def test_typed_answers_are_voted_on_by_their_value(kind: str) -> None:
    class Place(BaseModel):
        name: str

    model = by_seed('{"name": "Oslo"}', '{"name":  "Rome"}', '{ "name": "Rome" }')
    task = Task(id="a", prompt="a", samples=3, kind=kind)  # type: ignore[arg-type]
    result = await Contemplator(model, planner=tasks(task), aggregator=aggregators.first(), output_type=Place).run("q")
    assert result.output == Place(name="Rome")
    assert result.tasks[0].output == Place(name="Rome")
    assert all('"Answer: ..."' not in each.messages[-1].text for each in model.requests)


async def test_samples_are_counted_and_named_as_the_tasks_own_calls() -> None:
    events = Watched()
    planner = events.planner(tasks(THREE, Task(id="b", prompt="b", samples=2)))
    model = ScriptedModel("Answer: 1")
    run = await Contemplator(model, planner=planner, aggregator=last, on_event=events).run("q")
    events.check()
    assert sorted(str(each.name.task_path) for each in events.calls("subagent")) == [
        "b/sample-1",
        "b/sample-2",
        "count/sample-1",
        "count/sample-2",
        "count/sample-3",
    ]
    assert [each.usage.calls for each in run.tasks] == [3, 2]
    assert run.usage.calls == 5
    assert events.started == ["count", "b"]


async def test_all_samples_draw_from_the_runs_budget() -> None:
    model = ScriptedModel("Answer: 1")
    planned = [Task(id=f"t{i}", prompt="x", samples=5) for i in range(5)]
    run = await mind(model, *planned, limits=Limits(calls=12)).run("q")
    # One call is kept for the aggregator.
    assert len(model.requests) == run.usage.calls == 11
    assert run.stopped_by == "calls"
    assert any("Limits.calls = 12" in note for note in run.notes) or not run.complete
    assert run.missing == tuple(each.id for each in run.tasks if each.outcome == "capped")
    assert all(each.error is not None and each.error.kind == "LimitExceeded" for each in run.tasks if each.error)


async def test_the_runs_concurrency_holds() -> None:
    most = now = 0

    async def reply(request: ModelRequest) -> str:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            await steps(5)
        finally:
            now -= 1
        return "Answer: 1"

    planned = [Task(id=f"t{i}", prompt="x", samples=4) for i in range(4)]
    await mind(ScriptedModel(reply), *planned, limits=Limits(concurrency=3)).run("q")
    assert most == 3


@on_a_still_clock
async def test_at_the_deadline_the_votes_so_far_count() -> None:
    async def reply(request: ModelRequest) -> str:
        if request.settings.seed:
            await outlast()
        return "Answer: 1"

    run = await mind(ScriptedModel(reply), THREE, aggregator=aggregators.first(), limits=Limits(seconds=50)).run("q")
    assert (run.tasks[0].outcome, run.tasks[0].text) == ("capped", "Answer: 1")


async def test_what_a_sample_had_written_is_kept_when_the_task_is_interrupted() -> None:
    model = Held(["half an ", "answer"])

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield THREE
        await model.started.wait()
        assert ctx.interrupt("count")

    with anyio.fail_after(PATIENCE):
        run = await Contemplator(model, planner=plan, aggregator=aggregators.first(), stream=True).run("q")
    (result,) = run.tasks
    assert (result.outcome, result.text) == ("cancelled", "half an answer")
    assert model.running == 0


async def test_the_conversation_is_that_of_the_winner() -> None:
    def look() -> str:
        """Look."""
        return "42"

    async def reply(request: ModelRequest) -> str | Message:
        if request.settings.seed == 0:
            return "Answer: 1"
        if request.messages[-1].role == "tool":
            return "Answer: 42"
        call = ToolCall(id="c", name="look", arguments="{}")
        return Message(role="assistant", tool_calls=(call,))

    result = await one(ScriptedModel(reply), THREE, tools=[look])
    assert result.text == "Answer: 42"
    assert [each.text for each in result.messages if each.role == "tool"] == ["42"]
    again = mind(ScriptedModel(reply), THREE, tools=[look], journal="memory:")
    first = await again.run("the question", run_id="r")
    once_more = await again.reaggregate("r")
    assert once_more.tasks[0].messages == first.tasks[0].messages, "also when it is concluded once more"


async def test_any_agent_can_be_asked_several_times() -> None:
    asked: list[str] = []

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        asked.append(task.id)
        assert task.samples == 1
        return Answer(f"Answer: {len(asked) // 2}")

    run = await mind(ScriptedModel([]), THREE, agent=agent).run("q")
    assert asked == ["sample-1", "sample-2", "sample-3"]
    assert run.text == "Answer: 1"

    inner = Contemplator(ScriptedModel("Answer: 3"), planner=planners.sample(2), aggregator=aggregators.vote())
    run = await mind(ScriptedModel([]), THREE, agent=inner).run("q")
    assert (run.text, run.usage.calls) == ("Answer: 3", 6)
    assert run.tasks[0].support[0] == "count/sample-1"


async def test_the_vote_within_a_nested_run_is_told_as_well() -> None:
    inner = Contemplator(ScriptedModel("Answer: 3"), planner=planners.sample(2), aggregator=aggregators.vote())
    run = await mind(ScriptedModel([]), Task(id="a", prompt="a"), agent=inner).run("q")
    assert run.tasks[0].support in [("a/sample-1",), ("a/sample-1", "a/sample-2")]


@pytest.mark.parametrize("samples", [0, -1, 1.5])
def test_a_sample_is_needed(samples: float) -> None:
    with pytest.raises(ValidationError, match="samples"):
        Task(id="a", prompt="a", samples=samples)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", range(0, 60, 3))
async def test_cancelled_at_any_step_nothing_is_left(count: int) -> None:
    watched = Watched()
    planner = watched.planner(tasks(THREE, Task(id="b", prompt="b", needs=("count",), samples=2)))
    asked = Contemplator(ScriptedModel("Answer: 1"), planner=planner, aggregator=last, on_event=watched)
    before = running()
    await cancelled_after(count, lambda: asked.run("q"))
    assert running() == before
    if watched.ctx is not None:
        assert out(watched.ctx._calls.ledger) == (0, 0)


class TestWrittenDown:
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal:
        return Journal(tmp_path / "runs.db")

    @staticmethod
    def minds(journal: Journal) -> Callable[..., Contemplator[str]]:
        def make(model: Model, **more: Any) -> Contemplator[str]:
            planned = (THREE, Task(id="b", prompt="then b", needs=("count",)))
            return mind(model, *planned, journal=journal, **more)

        return make

    @staticmethod
    def shape(result: RunResult[str]) -> object:
        update: dict[str, object] = {"started": 0.0, "seconds": 0.0}
        done = tuple(task.model_copy(update=update) for task in result.tasks)
        return result.model_copy(update={"seconds": 0.0, "tasks": done})

    async def test_it_comes_out_as_it_was(self, journal: Journal) -> None:
        async def reply(request: ModelRequest) -> str:
            if request.settings.seed == 1:
                await anyio.sleep_forever()
            return "done" if "then b" in request.messages[-1].text else "Answer: 5"

        make = self.minds(journal)
        with anyio.fail_after(PATIENCE):
            first = await make(ScriptedModel(reply)).run("q", run_id="r")
        assert first.tasks[0].support == ("count/sample-1", "count/sample-3")
        events: list[Event] = []
        offline = ScriptedModel([])
        with anyio.fail_after(PATIENCE):
            again = await make(offline, on_event=events.append).replay("r")
        assert self.shape(again) == self.shape(first)
        assert not offline.requests
        assert all(event.recorded for event in events if isinstance(event, ModelCalled))

    async def test_what_was_answered_is_not_paid_for_twice(self, journal: Journal) -> None:
        make = self.minds(journal)
        answered = anyio.Event()

        async def dies(request: ModelRequest) -> str:
            if request.settings.seed:
                await answered.wait()
                await anyio.sleep_forever()
            return "Answer: 5"

        def heard(event: Event) -> None:
            if isinstance(event, ModelCalled) and event.error is None:
                answered.set()

        async with anyio.create_task_group() as group:
            group.start_soon(lambda: make(ScriptedModel(dies), on_event=heard).run("q", run_id="r"))
            with anyio.fail_after(PATIENCE):
                await answered.wait()
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        model = ScriptedModel(lambda request: "done" if "then b" in request.messages[-1].text else "Answer: 5")
        result = await make(model).run("q", run_id="r")
        assert result.text == "done"
        assert result.tasks[0].support[0] == "count/sample-1"
        assert 0 not in [each.settings.seed for each in model.requests]

    async def test_to_conclude_once_more_no_sample_is_made_again(self, journal: Journal) -> None:
        make = self.minds(journal)
        model = ScriptedModel(lambda request: "done" if "then b" in request.messages[-1].text else "Answer: 5")
        first = await make(model).run("q", run_id="r")

        async def told(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            found = {each.id: each async for each in results}
            assert found["count"].support == first.tasks[0].support
            return found["count"].messages[-1].text

        again = await make(ScriptedModel([]), aggregator=told).reaggregate("r")
        assert again.text == "Answer: 5"


async def test_a_limit_met_before_any_sample_is_told_as_a_limit() -> None:
    with pytest.raises((LimitExceeded, AggregationError), match="total_tokens"):
        await mind(ScriptedModel("x"), THREE, aggregator=aggregators.first(), limits=Limits(total_tokens=10)).run("q")


async def test_the_settings_of_the_run_are_those_of_its_samples() -> None:
    model = ScriptedModel("Answer: 1")
    settings = ModelSettings(temperature=0.25)
    planner = tasks(Task(id="a", prompt="a", samples=2, settings=ModelSettings(max_tokens=9)))
    await Contemplator(model, planner=planner, aggregator=last, settings=settings).run("q")
    assert {(each.settings.temperature, each.settings.max_tokens) for each in model.requests} == {(0.25, 9)}


async def test_a_task_has_the_metadata_of_the_first_sample_on_which_it_rests() -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return Answer(f"Answer: {int(task.id != 'sample-1')}", metadata={"of": task.id})

    planner = tasks(Task(id="a", prompt="a", samples=3))
    result = await Contemplator(ScriptedModel(""), planner=planner, aggregator=last, agent=agent).run("q")
    (task,) = result.tasks
    assert task.metadata == {"of": task.support[0].rpartition("/")[2]}
