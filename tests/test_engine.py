"""The engine: what starts when, what is cancelled, what is kept, and that nothing is left running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from contemplate import (
    Answer,
    Conclusion,
    Contemplator,
    Limits,
    RunContext,
    Task,
    TaskContext,
    TaskResult,
    aggregators,
    planners,
)
from contemplate.errors import AggregationError, LimitExceeded, PlanError
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Workers:
    """An agent that waits until it is told, and knows how many of it are at work."""

    def __init__(self, *, hold: bool = False, fail: Callable[[Task], bool] = lambda _: False) -> None:
        self.running = 0
        self.most = 0
        self.order: list[str] = []
        self._fail = fail
        self._hold = hold
        self.all_started = anyio.Event()
        self.expected = 0

    async def __call__(self, task: Task, ctx: TaskContext) -> Answer:
        self.running += 1
        self.most = max(self.most, self.running)
        self.order.append(task.id)
        if self.running == self.expected:
            self.all_started.set()
        try:
            await anyio.lowlevel.checkpoint()
            if self._hold:
                await anyio.sleep_forever()
            if self._fail(task):
                raise ValueError(f"{task.id} is broken")
            return Answer(f"{task.id} after {','.join(each.id for each in ctx.inputs if each.answered)}")
        finally:
            self.running -= 1


async def collect(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    return " ".join([result.id async for result in results])


def tasks(*planned: Task) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for task in planned:
            yield task

    return plan


def mind(
    agent: Workers, planner: Planner, aggregator: aggregators.Aggregator = collect, **limits: float
) -> Contemplator:
    return Contemplator(
        ScriptedModel("unused"),
        planner=planner,
        agent=agent,
        aggregator=aggregator,
        limits=Limits.model_validate(limits),
    )


async def test_a_task_is_shown_what_it_needs() -> None:
    agent = Workers()
    planner = tasks(Task(id="a", prompt=""), Task(id="b", prompt=""), Task(id="c", prompt="", needs=("b", "a")))
    result = await mind(agent, planner).run("q")
    assert agent.order[-1] == "c"
    assert {task.id: task.text for task in result.tasks}["c"] == "c after b,a"
    assert [task.index for task in result.tasks] == [0, 1, 2]


async def test_one_failure_costs_nobody_else_anything() -> None:
    agent = Workers(fail=lambda task: task.id == "a")
    planner = tasks(Task(id="a", prompt=""), Task(id="b", prompt=""), Task(id="c", prompt="", needs=("a", "b")))
    result = await mind(agent, planner).run("q")
    outcomes = {task.id: task.outcome for task in result.tasks}
    assert outcomes == {"a": "failed", "b": "answered", "c": "answered"}
    assert result.missing == ("a",)
    failed = result.tasks[0]
    assert failed.error is not None
    assert (failed.error.kind, failed.error.message) == ("ValueError", "a is broken")


async def test_when_the_aggregator_returns_the_rest_is_cancelled() -> None:
    agent = Workers(hold=True)
    agent.expected = 20

    async def at_once(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        await agent.all_started.wait()
        return "enough"

    result = await mind(agent, planners.sample(20), at_once).run("q")
    assert result.output == "enough"
    assert agent.running == 0
    assert [task.outcome for task in result.tasks] == ["cancelled"] * 20


async def test_a_planner_can_wait_for_results_and_plan_on() -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="")
        first = await ctx.finished("a")
        assert ctx.results["a"] is first
        yield Task(id=f"after {first.outcome}", prompt="")

    result = await mind(Workers(), plan).run("q")
    assert [task.id for task in result.tasks] == ["a", "after answered"]


@pytest.mark.parametrize(
    ("planned", "problem"),
    [
        ((Task(id="a", prompt=""), Task(id="a", prompt="")), "'a' was planned twice"),
        ((Task(id="a", prompt="", needs=("a",)),), "needs itself"),
        ((Task(id="a", prompt="", needs=("b",)), Task(id="b", prompt="")), "needs 'b'"),
    ],
)
async def test_a_plan_that_cannot_be_run_is_an_error_that_names_the_task(
    planned: tuple[Task, ...], problem: str
) -> None:
    agent = Workers()
    with pytest.raises(PlanError, match=problem):
        await mind(agent, tasks(*planned)).run("q")
    assert agent.running == 0


async def test_a_planner_that_raises_keeps_what_was_paid_for() -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="")
        await ctx.finished("a")
        yield Task(id="b", prompt="")
        raise KeyError("oops")

    agent = Workers()
    with pytest.raises(PlanError, match="KeyError") as caught:
        await mind(agent, plan).run("q")
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.partial is not None
    assert caught.value.partial.tasks[0].answered
    assert agent.running == 0


async def test_an_aggregator_that_raises_keeps_what_was_paid_for() -> None:
    async def broken(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        async for _ in results:
            raise RuntimeError("oops")
        return ""

    with pytest.raises(AggregationError, match="RuntimeError: oops") as caught:
        await mind(Workers(), planners.sample(3), broken).run("q")
    assert caught.value.partial is not None
    assert caught.value.partial.tasks[0].answered


async def test_a_limit_on_tasks_stops_a_planner_without_end() -> None:
    async def forever(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for i in range(10**9):
            yield Task(id=str(i), prompt="")

    result = await mind(Workers(), forever, tasks=7).run("q")
    assert len(result.tasks) == 7
    assert (result.stopped_by, result.complete) == ("tasks", False)


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_cancelled_from_outside_at_any_step_nothing_is_left(steps: int) -> None:
    agent = Workers(hold=steps % 2 == 0)
    contemplator = mind(agent, planners.sample(6))
    seen: list[str] = []
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with contemplator.stream("q") as run:
                async for event in run:
                    seen.append(event.kind)

        group.start_soon(run)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert agent.running == 0
    assert seen.count("task_finished") <= 6


class TestDeadlines:
    """On a clock that jumps ahead when nobody has anything to do."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0)}

    async def test_what_is_out_at_the_deadline_is_cancelled_and_the_rest_concluded(self) -> None:
        async def agent(task: Task, ctx: TaskContext) -> Answer:
            await anyio.sleep({"sample-1": 1, "sample-2": 5}.get(task.id, 1000))
            return Answer(task.id)

        contemplator = Contemplator(
            ScriptedModel(""),
            planner=planners.sample(4),
            agent=agent,
            aggregator=collect,
            limits=Limits(seconds=20),
        )
        result = await contemplator.run("q")
        assert [task.outcome for task in result.tasks] == ["answered", "answered", "cancelled", "cancelled"]
        assert (result.complete, result.stopped_by) == (False, "seconds")
        assert result.missing == ("sample-3", "sample-4")
        assert result.seconds == pytest.approx(15)

    async def test_an_aggregator_that_takes_too_long_is_cut_and_its_offer_taken(self) -> None:
        async def slow(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            ctx.offer(lambda: Conclusion(text="the best so far"))
            async for _ in results:
                pass
            await anyio.sleep(1000)
            return "too late"

        contemplator = Contemplator(
            ScriptedModel(""), planner=planners.sample(2), agent=Workers(), aggregator=slow, limits=Limits(seconds=20)
        )
        result = await contemplator.run("q")
        assert (result.output, result.complete, result.stopped_by) == ("the best so far", False, "seconds")
        assert result.seconds == pytest.approx(20)

    async def test_no_answer_in_time_is_an_error_that_says_so(self) -> None:
        async def hang(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            await anyio.sleep_forever()
            yield Task(id="never", prompt="")

        contemplator = Contemplator(ScriptedModel(""), planner=hang, aggregator=collect, limits=Limits(seconds=3))
        assert (await contemplator.run("q")).stopped_by == "seconds"
        voting = Contemplator(ScriptedModel(""), planner=hang, aggregator=aggregators.vote(), limits=Limits(seconds=3))
        with pytest.raises(LimitExceeded, match="before there was any answer") as caught:
            await voting.run("q")
        assert caught.value.partial is not None
        assert caught.value.partial.seconds == pytest.approx(3)

    async def test_a_vote_is_concluded_from_what_arrived(self) -> None:
        async def agent(task: Task, ctx: TaskContext) -> Answer:
            await anyio.sleep({"sample-1": 1, "sample-2": 2}.get(task.id, 1000))
            return Answer("Answer: 4")

        contemplator = Contemplator(
            ScriptedModel(""),
            planner=planners.sample(9),
            agent=agent,
            aggregator=aggregators.vote(),
            limits=Limits(seconds=10),
        )
        result = await contemplator.run("q")
        assert result.support == ("sample-1", "sample-2")
        assert not result.complete

    async def test_critical_path(self) -> None:
        """A task starts the moment that what it needs is done, whatever its siblings do."""

        async def agent(task: Task, ctx: TaskContext) -> Answer:
            await anyio.sleep(float(task.prompt))
            return Answer("done")

        planner = tasks(
            Task(id="slow", prompt="100"),
            Task(id="a", prompt="1"),
            Task(id="b", prompt="2", needs=("a",)),
            Task(id="c", prompt="3", needs=("b",)),
        )
        contemplator = Contemplator(ScriptedModel(""), planner=planner, agent=agent, aggregator=collect)
        result = await contemplator.run("q")
        assert {task.id: task.started for task in result.tasks} == pytest.approx({"slow": 0, "a": 0, "b": 1, "c": 3})
        assert result.seconds == pytest.approx(100)


class TestLimits:
    async def test_calls(self) -> None:
        model = ScriptedModel("Answer: 4")
        contemplator = Contemplator(
            model, planner=planners.sample(10), aggregator=aggregators.synthesize(), limits=Limits(calls=4)
        )
        result = await contemplator.run("q")
        assert len(model.requests) == 4, "three for the subagents, and the one that was kept for the aggregator"
        assert [task.outcome for task in result.tasks].count("capped") == 7
        assert (result.usage.calls, result.complete, result.stopped_by) == (4, False, "calls")

    async def test_total_tokens(self) -> None:
        model = ScriptedModel(lambda request: "x" * 4 * (request.settings.max_tokens or 10**6))
        contemplator = Contemplator(
            model, planner=planners.sample(50), aggregator=aggregators.vote(stop=None), limits=Limits(total_tokens=5000)
        )
        result = await contemplator.run("q")
        assert result.usage.total_tokens <= 5000
        assert {task.outcome for task in result.tasks} == {"answered", "capped"}

    async def test_concurrency(self) -> None:
        running = most = 0

        async def script(request: object) -> str:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            running -= 1
            return "Answer: 4"

        contemplator = Contemplator(
            ScriptedModel(script),
            planner=planners.sample(40),
            aggregator=aggregators.vote(stop=None),
            limits=Limits(concurrency=3),
        )
        await contemplator.run("q")
        assert most == 3

    async def test_too_small_for_one_call_is_an_error_that_names_the_limit(self) -> None:
        contemplator = Contemplator(ScriptedModel("four"), mode="instant", limits=Limits(total_tokens=10))
        with pytest.raises(AggregationError, match="total_tokens = 10") as caught:
            await contemplator.run("q")
        assert caught.value.partial is not None
        assert caught.value.partial.stopped_by == "total_tokens"


async def test_limit_exceeded_names_its_limit() -> None:
    assert LimitExceeded("no", limit="calls").limit == "calls"


async def test_a_plan_for_which_there_is_no_room_is_one_answer() -> None:
    async def starved(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for _ in ():
            yield Task(id="a", prompt=question)
        raise LimitExceeded("no room", limit="output_tokens")

    mind = Contemplator(ScriptedModel("42"), planner=starved, aggregator=aggregators.synthesize())
    result = await mind.run("q")
    assert [(each.id, each.task.kind, each.task.title, each.text) for each in result.tasks] == [
        ("answer", "answer", "Answer", "42")
    ]
    assert (result.text, result.complete, result.usage.calls) == ("42", False, 1)
    assert "the plan could not be written: no room: the question is answered directly" in result.notes
