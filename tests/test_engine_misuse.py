"""The engine and functions that are not its own: planners, agents and aggregators that are wrong, late or rude."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
import trio.testing

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
from contemplate.errors import AggregationError, ContemplateError, LimitExceeded, ModelServerError, PlanError
from contemplate.events import LimitReached
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from .patience import PATIENCE
from .support import Held, Watched, steps

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leftovers")]


async def quick(task: Task, ctx: TaskContext) -> Answer:
    await anyio.lowlevel.checkpoint()
    return Answer(f"{task.id}!")


async def collect(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
    return " ".join(sorted([f"{each.id}:{each.outcome}" async for each in results]))


def mind(
    planner: Any = None,
    aggregator: Any = collect,
    agent: Any = quick,
    *,
    watched: Watched | None = None,
    **limits: float,
) -> Contemplator:
    return Contemplator(
        ScriptedModel("unused"),
        planner=planner or planners.sample(3),
        agent=agent,
        aggregator=aggregator,
        limits=Limits.model_validate(limits),
        on_event=watched,
    )


class TestPlanners:
    async def test_an_iterator_that_is_no_generator(self) -> None:
        class Three:
            def __init__(self, question: str, ctx: RunContext) -> None:
                self.left = 3

            def __aiter__(self) -> Three:
                return self

            async def __anext__(self) -> Task:
                if not self.left:
                    raise StopAsyncIteration
                self.left -= 1
                return Task(id=str(self.left), prompt="")

        assert (await mind(Three).run("q")).output == "0:answered 1:answered 2:answered"

    async def test_a_coroutine_is_no_planner(self) -> None:
        async def plan(question: str, ctx: RunContext) -> list[Task]:
            return [Task(id="a", prompt="")]

        with pytest.raises(PlanError, match="returned a coroutine") as caught:
            await mind(plan).run("q")
        assert "yield" in str(caught.value.hint)

    async def test_what_is_no_task(self) -> None:
        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Any]:
            yield "do this"

        with pytest.raises(PlanError, match="'do this', which is not a Task"):
            await mind(plan).run("q")

    async def test_one_that_raises_at_once(self) -> None:
        def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            raise OSError("no disk")

        with pytest.raises(PlanError, match="OSError: no disk"):
            await mind(plan).run("q")

    async def test_a_group_of_one_is_its_member(self) -> None:
        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            async def fail() -> None:
                raise ModelServerError("down", model="m")

            async with anyio.create_task_group() as group:
                group.start_soon(fail)
            yield Task(id="never", prompt="")

        with pytest.raises(ModelServerError, match="down"):
            await mind(plan).run("q")

    async def test_waiting_for_a_task_that_was_never_planned(self) -> None:
        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            yield Task(id="a", prompt="")
            await ctx.finished("b")

        with anyio.fail_after(PATIENCE), pytest.raises(PlanError, match="no task 'b' was planned"):
            await mind(plan).run("q")

    async def test_waiting_for_results_while_others_run(self) -> None:
        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            for i in range(20):
                yield Task(id=str(i), prompt="", needs=(str(i - 1),) if i else ())
            for i in reversed(range(20)):
                assert (await ctx.finished(str(i))).answered
            yield Task(id="last", prompt="", needs=tuple(map(str, range(20))))

        assert len((await mind(plan).run("q")).tasks) == 21

    async def test_one_that_goes_on_yielding_while_it_is_closed(self) -> None:
        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            try:
                for i in range(10**9):
                    yield Task(id=str(i), prompt="")
            finally:
                yield Task(id="one more", prompt="")

        result = await mind(plan, aggregators.first()).run("q")
        assert result.support == (result.text[:-1],)

    async def test_one_that_raises_while_it_is_closed_costs_no_answer(self) -> None:
        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            try:
                yield Task(id="a", prompt="")
                await anyio.sleep_forever()
            finally:
                raise ValueError("in the end")

        result = await mind(plan, aggregators.first()).run("q")
        assert result.text == "a!"
        assert result.notes == ("the plan was not finished: the planner raised ValueError: in the end",)
        assert not result.complete

    async def test_one_that_fails_while_the_aggregator_cannot_be_cancelled(self) -> None:
        failed = anyio.Event()

        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            yield Task(id="a", prompt="")
            await ctx.finished("a")
            failed.set()
            raise ValueError("no more")

        async def shielded(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:  # type: ignore[return]
            with anyio.CancelScope(shield=True):
                await failed.wait()
                return " ".join([each.text async for each in results])

        result = await mind(plan, shielded).run("q")
        assert (result.output, result.complete) == ("a!", False)

    @pytest.mark.parametrize("leave", ["return", "raise", "cancel"])
    async def test_a_streamed_call_that_is_left_in_the_middle(self, leave: str) -> None:
        model = Held(["one", "two"])

        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            async with ctx.stream("planner", ModelRequest(())) as call:
                async for delta in call:
                    yield Task(id=delta.text, prompt="")
                    if leave == "raise":
                        raise ValueError("enough")
                    if leave == "return":
                        return

        contemplator = Contemplator(
            model, planner=plan, agent=quick, aggregator=aggregators.first() if leave == "cancel" else collect
        )
        if leave == "raise":
            with pytest.raises(PlanError, match="enough"):
                await contemplator.run("q")
        else:
            assert (await contemplator.run("q")).tasks[0].text == "one!"
        assert model.running == 0

    async def test_a_streamed_call_outside_of_a_run(self) -> None:
        kept: list[RunContext] = []

        async def keep(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            kept.append(ctx)
            return ""

        await mind(aggregator=keep).run("q")
        with pytest.raises(RuntimeError, match="only while the run is in progress"):
            async with kept[0].stream("planner", ModelRequest(())):
                pass

    async def test_the_response_of_a_streamed_call_comes_last(self) -> None:
        seen: list[str] = []

        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            async with ctx.stream("planner", ModelRequest(())) as call:
                with pytest.raises(RuntimeError, match="not over"):
                    _ = call.finished
                async for delta in call:
                    seen.append(delta.text)
                assert call.finished.message.text == "".join(seen) == "unused"
            yield Task(id="a", prompt="")

        assert (await mind(plan).run("q")).output == "a:answered"


class TestAgents:
    @pytest.mark.parametrize("returned", [None, "a text", 3])
    async def test_what_is_no_answer_is_a_failure(self, returned: object) -> None:
        async def agent(task: Task, ctx: TaskContext) -> Any:
            return returned

        result = await mind(planners.sample(1), agent=agent).run("q")
        assert result.output == "sample-1:failed"
        error = result.tasks[0].error
        assert error is not None
        assert "which is not an Answer" in error.message

    async def test_one_that_never_waits(self) -> None:
        async def agent(task: Task, ctx: TaskContext) -> Answer:
            return Answer("at once")

        assert (await mind(planners.sample(100), agent=agent).run("q")).output.count("answered") == 100

    async def test_one_with_a_group_of_its_own(self) -> None:
        async def agent(task: Task, ctx: TaskContext) -> Answer:
            async def fail() -> None:
                raise LimitExceeded("no more", limit="calls")

            async with anyio.create_task_group() as group:
                group.start_soon(fail)
            raise AssertionError

        result = await mind(planners.sample(1), agent=agent).run("q")
        assert result.tasks[0].outcome == "capped"
        assert result.tasks[0].error is not None
        assert result.tasks[0].error.kind == "LimitExceeded"

    async def test_one_that_swallows_its_cancellation_for_a_while(self) -> None:
        ended = anyio.Event()

        async def agent(task: Task, ctx: TaskContext) -> Answer:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await steps(5)
                    ended.set()
            raise AssertionError

        async def enough(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            await steps(5)
            return "enough"

        assert (await mind(planners.sample(1), enough, agent).run("q")).tasks[0].outcome == "cancelled"
        assert ended.is_set()

    async def test_cost_of_a_task_holds_the_calls_that_failed(self) -> None:
        replies: Iterator[str | Exception] = iter(["x" * 40, ModelServerError("down", model="m")])
        model = ScriptedModel(lambda _: next(replies))

        async def twice(task: Task, ctx: TaskContext) -> Answer:
            request = ModelRequest(())
            await ctx.call(request)
            await ctx.call(request)
            raise AssertionError

        result = await Contemplator(model, planner=planners.direct(), agent=twice, aggregator=collect).run("q")
        assert result.tasks[0].usage.calls == 2
        assert result.tasks[0].usage == result.usage

    async def test_costs_of_tasks_add_up(self) -> None:
        model = ScriptedModel(lambda request: "Answer: 4")
        contemplator = Contemplator(model, planner=planners.sample(9), aggregator=aggregators.vote())
        result = await contemplator.run("q")
        total = result.tasks[0].usage
        for task in result.tasks[1:]:
            total += task.usage
        assert total == result.usage


class TestAggregators:
    async def test_nothing_returned(self) -> None:
        async def forgetful(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> None:
            pass

        with pytest.raises(AggregationError, match="returned None"):
            await mind(aggregator=forgetful).run("q")

    async def test_one_that_is_not_async(self) -> None:
        with pytest.raises(AggregationError, match="TypeError"):
            await mind(aggregator=lambda question, results, ctx: "no").run("q")

    async def test_two_readers_share_the_results(self) -> None:
        async def shared(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            seen: list[str] = []

            async def read() -> None:
                async for each in results:
                    seen.append(each.id)

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(read)
            return " ".join(sorted(seen))

        with anyio.fail_after(PATIENCE):
            assert (await mind(aggregator=shared).run("q")).output == "sample-1 sample-2 sample-3"

    async def test_one_with_a_group_of_its_own(self) -> None:
        async def grouped(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:  # type: ignore[return]
            async with anyio.create_task_group():
                raise KeyError("inside")

        with pytest.raises(AggregationError, match="KeyError: 'inside'"):
            await mind(aggregator=grouped).run("q")

    async def test_no_room_for_its_call_costs_no_answer(self) -> None:
        """A limit that leaves no room for merging is not the end of what was answered."""
        model = ScriptedModel("w " * 300)
        contemplator = Contemplator(
            model,
            planner=planners.sample(4),
            aggregator=aggregators.synthesize(),
            limits=Limits(total_tokens=1800),
        )
        result = await contemplator.run("q")
        assert result.output == "w " * 300
        assert (result.complete, result.stopped_by) == (False, "total_tokens")

    async def test_parts_that_cannot_be_merged_stand_side_by_side(self) -> None:
        async def parts(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            for name in "abcd":
                yield Task(id=name, prompt=name, title=name.upper())

        contemplator = Contemplator(
            ScriptedModel("w " * 300),
            planner=parts,
            aggregator=aggregators.synthesize(),
            limits=Limits(total_tokens=1400),
        )
        result = await contemplator.run("q")
        assert "## A\n\nw w" in result.text
        assert {each.outcome for each in result.tasks} == {"answered"}
        assert not result.complete

    async def test_results_are_there_although_it_reads_none(self) -> None:
        async def late(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            while not ctx.plan_done or len(ctx.results) < 3:
                await anyio.lowlevel.checkpoint()
            return " ".join(sorted(ctx.results))

        assert (await mind(aggregator=late).run("q")).output == "sample-1 sample-2 sample-3"

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("anyio_backend", ["trio"])
    async def test_an_interruption_comes_out_as_it_is(self, kind: type[BaseException]) -> None:
        async def interrupted(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            await steps(3)
            raise kind

        with pytest.raises(kind):
            await mind(aggregator=interrupted).run("q")
        with pytest.raises(kind):
            async with mind(aggregator=interrupted).stream("q") as run:
                async for _ in run:
                    pass


class Timed:
    """A run on trio's clock that jumps ahead, whatever the test's own loop."""

    def __init__(self, contemplator: Contemplator[Any]) -> None:
        self._mind = contemplator

    def run(self) -> Any:
        return trio.run(self._mind.run, "q", clock=trio.testing.MockClock(autojump_threshold=0))


def sleepy(**seconds: float) -> Any:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        await anyio.sleep(seconds.get(task.id, 1e6))
        return Answer(f"{task.id}!")

    return agent


def parts(*ids: str) -> Any:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for each in ids:
            yield Task(id=each, prompt="")

    return plan


class TestDeadlines:
    pytestmark = pytest.mark.filterwarnings("error")

    def test_nothing_in_time_names_the_limit_and_not_the_aggregator(self) -> None:
        merging = mind(parts("a", "b"), aggregators.synthesize(), sleepy(), seconds=20)
        with pytest.raises(LimitExceeded, match="seconds = 20 passed") as caught:
            Timed(merging).run()
        partial = caught.value.partial
        assert partial is not None
        assert (partial.stopped_by, partial.missing) == ("seconds", ("a", "b"))

    def test_what_failed_before_is_not_blamed_on_the_clock(self) -> None:
        async def agent(task: Task, ctx: TaskContext) -> Answer:
            if task.id == "a":
                raise ModelServerError("down", model="m")
            await anyio.sleep_forever()
            raise AssertionError

        with pytest.raises(AggregationError, match="down"):
            Timed(mind(parts("a", "b"), aggregators.synthesize(), agent, seconds=20)).run()

    def test_what_arrived_at_the_very_deadline_is_not_lost(self) -> None:
        """Which of two things that are due at the same moment comes first is the loop's choice."""
        for _ in range(10):
            try:
                result = Timed(mind(parts("a", "b"), aggregators.first(), sleepy(a=20), seconds=20)).run()
            except LimitExceeded as error:
                assert error.partial is not None
                assert not any(task.answered for task in error.partial.tasks)
            else:
                assert result.output == "a!"
        late = Timed(mind(parts("a", "b"), collect, sleepy(a=15), seconds=20)).run()
        assert set(late.output.split()) in ({"a:answered", "b:cancelled"}, {"a:cancelled", "b:cancelled"})
        assert [each.outcome for each in late.tasks] == [each.split(":")[1] for each in late.output.split()]

    def test_an_aggregator_that_ignores_the_end_is_given_up(self) -> None:
        async def deaf(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            ctx.offer(lambda: Conclusion(text="so far"))
            while True:
                with suppress(ValueError):
                    await anyio.sleep(1)

        watched = Watched()
        result = Timed(mind(parts("a"), deaf, sleepy(a=1), watched=watched, seconds=8)).run()
        assert (result.output, result.seconds, result.stopped_by) == ("so far", pytest.approx(8), "seconds")
        assert [event.limit for event in watched.events if isinstance(event, LimitReached)] == ["seconds"]

    def test_an_offer_that_raises_is_an_error_that_says_so(self) -> None:
        async def hangs(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            ctx.offer(lambda: Conclusion(text=str(1 / 0)))
            await anyio.sleep_forever()
            return ""

        with pytest.raises(AggregationError, match="offered raised ZeroDivisionError"):
            Timed(mind(parts("a"), hangs, seconds=8)).run()

    def test_an_offer_of_nothing_is_a_limit_that_was_reached(self) -> None:
        async def hangs(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
            await anyio.sleep_forever()
            return ""

        with pytest.raises(LimitExceeded, match="before there was any answer"):
            Timed(mind(parts("a"), hangs, sleepy(a=1), seconds=8)).run()

    def test_synthesis_that_hangs_leaves_the_parts_side_by_side(self) -> None:
        async def script(request: ModelRequest) -> str:
            if "Now answer the whole question" in request.messages[-1].text:
                await anyio.sleep_forever()
            return "a finding"

        contemplator = Contemplator(
            ScriptedModel(script),
            planner=parts("a", "b"),
            aggregator=aggregators.synthesize(),
            limits=Limits(seconds=40),
        )
        result = Timed(contemplator).run()
        assert result.output == "## a\n\na finding\n\n## b\n\na finding"
        assert (result.complete, result.support) == (False, ("a", "b"))

    def test_a_planner_that_hangs_is_ended_with_the_work(self) -> None:
        async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
            yield Task(id="a", prompt="")
            await anyio.sleep_forever()

        result = Timed(mind(plan, collect, sleepy(a=1), seconds=40)).run()
        assert (result.output, result.seconds) == ("a:answered", pytest.approx(30))

    def test_text_that_was_cut_is_an_answer_only_of_last_resort(self) -> None:
        async def run() -> Any:
            return await Contemplator(Held(["half an ", "answer"]), mode="instant", limits=Limits(seconds=5)).run("q")

        result = trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
        assert (result.output, result.complete, result.stopped_by) == ("half an answer", False, "seconds")
        assert result.missing == ("answer",)

    async def test_on_a_real_clock(self) -> None:
        result = await mind(parts("a", "b"), collect, sleepy(a=0.0), seconds=1).run("q")
        assert result.output == "a:answered b:cancelled"
        assert (result.stopped_by, result.missing) == ("seconds", ("b",))

    async def test_a_limit_that_is_over_before_anything_begins(self) -> None:
        with pytest.raises(ContemplateError):
            await mind(parts("a"), aggregators.vote(), sleepy(), seconds=1e-9).run("q")


async def test_two_limits_and_the_first_one_is_named() -> None:
    async def forever(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for i in range(10**9):
            yield Task(id=str(i), prompt="")

    watched = Watched()
    result = await mind(forever, collect, watched=watched, tasks=2, seconds=1000).run("q")
    assert result.output == "0:answered 1:answered"
    assert [event.limit for event in watched.events if isinstance(event, LimitReached)] == ["tasks"]


async def test_exactly_as_many_tasks_as_allowed_is_no_limit_reached() -> None:
    result = await mind(planners.sample(3), tasks=3).run("q")
    assert (result.stopped_by, result.complete) == (None, True)


async def test_a_listener_of_events_sees_what_the_result_says() -> None:
    watched = Watched()
    result = await mind(parts("a", "b", "c"), watched=watched).run("q")
    watched.check()
    assert [event.kind for event in watched.events][:2] == ["run_started", "task_planned"]
    assert tuple(sorted(watched.finished, key=lambda each: each.index)) == result.tasks
