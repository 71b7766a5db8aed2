"""Contemplators within contemplators: one budget, one deadline, and an end to the depth."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from pydantic import BaseModel

from contemplate import Answer, Contemplator, Limits, RunContext, Task, TaskContext, aggregators, planners
from contemplate.errors import AggregationError
from contemplate.events import ModelCalled
from contemplate.journal import Journal
from contemplate.messages import Message, ToolCall
from contemplate.models import ModelRequest
from contemplate.run.nesting import MAX_DEPTH
from contemplate.run.protocols import Planner
from contemplate.settings import ModelSettings
from contemplate.testing import ScriptedModel

from .patience import PATIENCE
from .still_clock import on_a_still_clock, outlast
from .support import Watched, cancelled_after, out, running, steps

pytestmark = pytest.mark.anyio


def nested(model: ScriptedModel, depth: int) -> Contemplator:
    """`depth` contemplators within each other; the innermost asks the model."""
    mind = Contemplator(model, mode="instant")
    for _ in range(depth - 1):
        mind = Contemplator(model, planner=planners.direct(), aggregator=aggregators.first(), agent=mind)
    return mind


def parts(*names: str) -> Planner:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        for place, name in enumerate(names):
            yield Task(id=name, prompt=f"part {name}", needs=names[:place])

    return plan


async def test_a_task_is_a_vote_of_its_own_and_shown_what_it_needs() -> None:
    model = ScriptedModel(lambda request: "merged" if "final answer" in request.messages[0].text else "Answer: 4")
    vote = Contemplator(model, planner=planners.sample(3), aggregator=aggregators.vote(stop=None))
    events = Watched()
    mind = Contemplator(
        model, planner=events.planner(parts("a", "b")), agent=vote, aggregator=aggregators.synthesize(), on_event=events
    )
    result = await mind.run("the question")
    assert (result.text, result.usage.calls) == ("merged", 7)
    assert [(each.text, each.usage.calls) for each in result.tasks] == [("Answer: 4", 3)] * 2
    asked = model.requests[-2].messages[-1].text
    assert all(each in asked for each in ("part b", "the question", "Answer: 4", "<<result 1"))
    called = [event.name.task_path for event in events.events if isinstance(event, ModelCalled)]
    assert set(called) == {f"{part}/sample-{i}" for part in "ab" for i in (1, 2, 3)} | {None}
    events.check()


@pytest.mark.parametrize("kind", ["part", "candidate"])
async def test_a_tasks_instructions_reach_the_contemplator_that_answers_it(kind: str) -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task.model_validate({"id": "a", "prompt": "How far?", "kind": kind, "instructions": "Answer in miles."})

    model = ScriptedModel("ten")
    inner = Contemplator(model, mode="instant")
    await Contemplator(model, planner=plan, agent=inner, aggregator=aggregators.first()).run("the question")
    asked = model.requests[0].messages[-1].text
    assert "How far?" in asked
    assert asked.endswith("\n\nAnswer in miles.")
    assert ("the question" in asked) == (kind == "part")


@pytest.mark.parametrize(("own", "expected"), [(None, (0.25, 0.5)), (ModelSettings(temperature=0.75), (0.75, 0.5))])
async def test_the_settings_of_the_run_hold_within_it_but_for_those_of_its_own(
    own: ModelSettings | None, expected: tuple[float, float]
) -> None:
    model = ScriptedModel("here")
    inner = Contemplator(model, mode="instant", all_settings=own)
    outer = ModelSettings(temperature=0.25, top_p=0.5)
    mind = Contemplator(model, planner=parts("a"), agent=inner, aggregator=aggregators.first(), all_settings=outer)
    await mind.run("the question")
    (asked,) = model.requests
    assert (asked.settings.temperature, asked.settings.top_p) == expected


async def test_ten_deep() -> None:
    model = ScriptedModel("here")
    result = await nested(model, 10).run("the question")
    assert (result.output, result.usage.calls, result.tasks[0].usage.calls) == ("here", 1, 1)
    assert model.requests[0].messages[-1].text == "the question"


async def test_deeper_than_allowed_is_an_error_that_says_so() -> None:
    model = ScriptedModel("here")
    assert (await nested(model, MAX_DEPTH + 1).run("q")).output == "here"
    with pytest.raises(AggregationError, match="more than 16 deep") as caught:
        await nested(model, MAX_DEPTH + 2).run("q")
    assert len(str(caught.value)) < 250, "it is said once, not once for each level"


async def test_without_end_it_ends() -> None:
    mind: Contemplator

    async def again(task: Task, ctx: TaskContext) -> Answer:
        return await mind(task, ctx)

    mind = Contemplator(ScriptedModel(""), planner=planners.direct(), aggregator=aggregators.first(), agent=again)
    with pytest.raises(AggregationError, match="more than 16 deep"):
        await mind.run("q")


async def test_tasks_and_tools_are_counted_together() -> None:
    """Half of the runs are in tasks of the others, half in tools."""
    ran = 0

    async def reply(request: ModelRequest) -> str | Message:
        if request.messages[-1].role == "tool":
            return request.messages[-1].text
        return Message.assistant("", (ToolCall(id="1", name="again", arguments="{}"),))

    async def again() -> str:
        """Ask oneself."""
        nonlocal ran
        ran += 1
        return (await outer.run("q")).output

    inner = Contemplator(ScriptedModel(reply), mode="instant", tools=[again])
    outer = Contemplator(
        ScriptedModel("unused"), planner=planners.direct(), aggregator=aggregators.first(), agent=inner
    )
    assert "nested more than 16 deep" in (await outer.run("q")).output
    assert ran == MAX_DEPTH // 2


async def test_eight_levels_of_two_are_256_calls() -> None:
    model = ScriptedModel("Answer: 1")
    mind = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote(stop=None))
    for _ in range(7):
        mind = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote(stop=None), agent=mind)
    result = await mind.run("q")
    assert result.usage.calls == len(model.requests) == 2**8
    assert [each.usage.calls for each in result.tasks] == [2**7] * 2


async def test_all_draw_from_the_outer_budget() -> None:
    model = ScriptedModel("Answer: 1")
    inner = Contemplator(model, planner=planners.sample(10), aggregator=aggregators.vote(stop=None))
    mind = Contemplator(
        model, planner=planners.sample(10), aggregator=aggregators.vote(stop=None), agent=inner, limits=Limits(calls=25)
    )
    result = await mind.run("q")
    assert len(model.requests) == 25
    assert result.usage.calls == 25
    assert result.stopped_by == "calls"


async def test_what_is_left_out_within_is_left_out_of_the_whole() -> None:
    def reply(request: ModelRequest) -> str | Exception:
        return RuntimeError("down") if "part b" in request.messages[-1].text else "fine"

    inner = Contemplator(ScriptedModel(reply), planner=parts("a", "b"), aggregator=aggregators.synthesize())
    for _ in range(2):
        inner = Contemplator(
            ScriptedModel("unused"), planner=planners.direct(), aggregator=aggregators.first(), agent=inner
        )
    result = await inner.run("q")
    assert (result.output, result.complete, result.tasks[0].outcome) == ("fine", False, "answered")
    assert result.notes == ("within 'Answer': within 'Answer': something was left out of the answer",)
    assert not result.tasks[0].complete


async def test_what_was_left_out_within_is_still_left_out_when_concluded_once_more() -> None:
    def reply(request: ModelRequest) -> str | Exception:
        return RuntimeError("down") if "part b" in request.messages[-1].text else "fine"

    inner = Contemplator(ScriptedModel(reply), planner=parts("a", "b"), aggregator=aggregators.synthesize())
    mind = Contemplator(
        ScriptedModel("unused"),
        planner=planners.direct(),
        aggregator=aggregators.first(),
        agent=inner,
        journal=Journal(),
    )
    first = await mind.run("q", run_id="r")
    again = await mind.reaggregate("r")
    assert (first.complete, again.complete, again.output) == (False, False, "fine")


async def test_the_outer_concurrency_holds() -> None:
    most = now = 0

    async def reply(request: ModelRequest) -> str:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await steps(10)
        now -= 1
        return "Answer: 1"

    model = ScriptedModel(reply)
    inner = Contemplator(model, planner=planners.sample(5), aggregator=aggregators.vote(stop=None))
    mind = Contemplator(
        model, planner=planners.sample(5), aggregator=aggregators.vote(), agent=inner, limits=Limits(concurrency=3)
    )
    await mind.run("q")
    assert most == 3


async def test_typed_candidates_keep_their_type() -> None:
    class Place(BaseModel):
        name: str

    model = ScriptedModel('{"name": "Rome"}')
    inner = Contemplator(model, planner=planners.sample(2), aggregator=aggregators.vote())
    mind = Contemplator(
        model, planner=planners.sample(2), aggregator=aggregators.vote(), agent=inner, output_type=Place
    )
    assert (await mind.run("q")).output == Place(name="Rome")


@on_a_still_clock
async def test_the_inner_deadline_ends_only_its_task() -> None:
    async def hang(request: ModelRequest) -> str:
        if "part a" in request.messages[-1].text:
            await outlast()
        return "fine"

    inner = Contemplator(ScriptedModel(hang), mode="instant", limits=Limits(seconds=20))

    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return await inner(task, ctx)

    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="a", prompt="part a")
        yield Task(id="b", prompt="part b")

    mind = Contemplator(ScriptedModel("merged"), planner=plan, agent=agent, aggregator=aggregators.synthesize())
    with anyio.fail_after(PATIENCE):
        result = await mind.run("q")
    assert [each.outcome for each in result.tasks] == ["capped", "answered"]


@pytest.mark.parametrize("count", range(0, 60, 3))
async def test_cancelled_at_any_step_nothing_is_left(count: int) -> None:
    model = ScriptedModel("Answer: 1")
    inner = Contemplator(model, planner=planners.sample(3, wave=1), aggregator=aggregators.vote(stop=None))
    watched = Watched()
    planner = watched.planner(planners.rounds(2, 1, 2))
    mind = Contemplator(model, planner=planner, aggregator=aggregators.vote(), agent=inner, on_event=watched)
    before = running()
    await cancelled_after(count, lambda: mind.run("q"))
    assert running() == before
    if watched.ctx is not None:
        assert out(watched.ctx._calls.ledger) == (0, 0)
