"""Merges that ask again: how points are named, what becomes of them, and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Literal

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from contemplate import Contemplator, Limits, RunContext, Task, TaskResult, aggregators, modes, planners
from contemplate.aggregators.open_points import Point, is_answer_so_far, points_in
from contemplate.errors import ConfigurationError, ContemplateError, ModelRequestError
from contemplate.events import Event, OutputDelta, PlanReady, TaskFinished, TaskPlanned, TaskStarted
from contemplate.journal import Journal
from contemplate.models import ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel
from contemplate.testing.scripted import Reply

from .support import cancelled_after

pytestmark = pytest.mark.anyio

FORM = "begins with ASK"
FOUND = "What they found stands between fences"


async def two(question: str, ctx: RunContext) -> AsyncIterator[Task]:
    yield Task(id="a", prompt="task a", title="Alpha")
    yield Task(id="b", prompt="task b", title="Beta")


class Script(ScriptedModel):
    """Answers tasks with their last line; the first merge with `asks`, and the one after with `concludes`."""

    def __init__(self, asks: Reply, concludes: Reply = "merged", task: Callable[[str], Reply] | None = None) -> None:
        super().__init__(self._reply)
        self._asks, self._concludes = asks, concludes
        self._task = task or (lambda text: f"answer to {text}")

    def _reply(self, request: ModelRequest) -> Reply:
        if request.messages[0].text.startswith("You prepare material"):
            return "in short"
        if not request.messages[0].text.startswith("You write the final answer"):
            return self._task(request.messages[-1].text.splitlines()[-1])
        return (
            self._asks
            if FORM in request.messages[-1].text or 'leave "answer"' in request.messages[-1].text
            else self._concludes
        )

    @property
    def merges(self) -> list[str]:
        return [each.messages[-1].text for each in self.requests if "final answer" in each.messages[0].text]


def mind(model: ScriptedModel, ask_again: int = 2, **options: Any) -> Contemplator[Any]:
    aggregator = aggregators.synthesize(ask_again=ask_again)
    given: dict[str, Any] = {"planner": two, "aggregator": aggregator} | options
    return Contemplator(model, **given)


# The form


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("ASK: Which?", [Point("Which?", ())]),
        ("ASK 1, 2: Which?", [Point("Which?", (1, 2))]),
        ("ASK 1 and 2: Which?", [Point("Which?", (1, 2))]),
        ("ASK (1, 2): Which?\nASK: When?", [Point("Which?", (1, 2)), Point("When?", ())]),
        ("1. **ASK 3:** Which?\n2. **ASK**: When?", [Point("Which?", (3,)), Point("When?", ())]),
        ("- ASK: Which: this or that?", [Point("Which: this or that?", ())]),
        ("Open points:\n\nASK: Which?", [Point("Which?", ())]),
        ("```\nASK: Which?\n```", [Point("Which?", ())]),
        ("ASK: Which?\n(as of 2020)", [Point("Which?", ())]),
        ("", None),
        ("ASK", None),
        ("Ask: which?", None),
        ("TASK: Which?", None),
        ("The answer is 4.\nASK: Which?", None),
        ("I would ask: which?", None),
        ("ASKED: Which?", None),
        ("In short:\nit is 4.", None),
        ('{"ask": 1}', None),
    ],
)
def test_points_are_told_from_answers(text: str, points: list[Point] | None) -> None:
    assert points_in(text) == points


@settings(deadline=None)
@given(st.text() | st.text(alphabet="ASK 12,and:\n*-x"))
@example("ASK 1 1 1 1 1 1 1 1 1 1 and and and" * 50)
@example("*" * 5000)
@example("Points:\nASK 1: x")
def test_what_is_shown_as_it_is_written_is_an_answer(text: str) -> None:
    shown = [is_answer_so_far(text[:end]) for end in range(0, len(text) + 1, 7)]
    assert shown == sorted(shown), "what was shown is not taken back"
    if points_in(text) is not None and "\n" not in text:
        assert not any(shown)


# What becomes of the points


async def test_points_become_tasks_and_it_concludes_after_them() -> None:
    model = Script("ASK 2, 1: Which date is right?\nASK 7: How long is it?")
    events: list[Event] = []
    result = await mind(model, on_event=events.append).run("q")
    assert (result.output, result.complete, result.usage.calls) == ("merged", True, 6)
    assert [each.id for each in result.plan.tasks] == ["a", "b", "ask-1", "ask-2"]
    first, second = result.tasks[2:]
    assert (first.task.needs, first.task.prompt, first.text) == (
        ("b", "a"),
        "Which date is right?",
        "answer to Which date is right?",
    )
    assert second.task.needs == ()
    assert result.support == ("a", "b", "ask-1", "ask-2")
    shown = next(each.messages[-1].text for each in model.requests if "Which date" in each.messages[-1].text)
    assert "answer to task a" in shown
    assert "answer to task b" in shown
    asked, concluded = model.merges
    assert FORM in asked
    assert FORM not in concluded
    assert FOUND in concluded
    assert "Task: Which date is right?\nanswer to Which date is right?" in concluded
    # What both share comes first, for prefix caches.
    assert concluded.startswith(asked[: asked.index("Now answer")].rstrip())
    for kind in (TaskPlanned, TaskStarted, TaskFinished):
        assert sum(isinstance(each, kind) for each in events) == 4
    assert sum(isinstance(each, PlanReady) for each in events) == 1


async def test_naming_nothing_costs_nothing() -> None:
    plain, asking = Script("merged"), Script("merged")
    assert (await mind(plain, 0).run("q")).usage.calls == 3
    result = await mind(asking).run("q")
    assert (result.output, result.usage.calls, result.notes) == ("merged", 3, ())
    assert not any(FORM in each for each in plain.merges)


async def test_no_more_points_than_that() -> None:
    model = Script("\n".join(f"ASK: What is {each}?" for each in range(5)))
    result = await mind(model, 2).run("q")
    assert [each.prompt for each in result.plan.tasks[2:]] == ["What is 0?", "What is 1?"]
    assert "3 more points" in result.notes[0]
    assert result.output == "merged"


@pytest.mark.parametrize(
    "asks",
    ["ASK: none", "ASK: N/A", "ASK: ???", "ASK 1: task a", "ASK: Q", "ASK: none\nASK: Task B."],
)
async def test_points_that_say_nothing_new_are_not_asked(asks: str) -> None:
    result = await mind(Script(asks)).run("q")
    assert (result.output, len(result.tasks), result.usage.calls, result.complete) == ("merged", 2, 4, True)
    assert "nothing new" in result.notes[0]


async def test_points_that_repeat_are_asked_once() -> None:
    result = await mind(Script("ASK: Which date?\nASK 1: which date\nASK: **Which** date?!\nASK: When?"), 3).run("q")
    assert [each.prompt for each in result.plan.tasks[2:]] == ["Which date?", "When?"]


async def test_ids_that_are_taken() -> None:
    async def plan(question: str, ctx: RunContext) -> AsyncIterator[Task]:
        yield Task(id="ask-1", prompt="task a")
        yield Task(id="b", prompt="task b", needs=("ask-1",))

    result = await mind(Script("ASK 1: Which?\nASK: When?"), planner=plan).run("q")
    assert [each.id for each in result.plan.tasks] == ["ask-1", "b", "ask-2", "ask-3"]
    assert result.tasks[2].task.needs == ("ask-1",)


@pytest.mark.parametrize("reply", [ModelRequestError("no", model="scripted"), ""])
async def test_a_point_that_is_not_answered_stays_open(reply: Reply) -> None:
    model = Script("ASK: Which?", task=lambda text: reply if text == "Which?" else "fine")
    result = await mind(model).run("q")
    assert (result.output, result.complete, result.missing) == ("merged", False, ("ask-1",))
    assert "This result is missing" in model.merges[1]


@pytest.mark.parametrize("reply", [ModelRequestError("no", model="scripted"), ""])
async def test_a_conclusion_that_fails_leaves_the_results(reply: Reply) -> None:
    result = await mind(Script("ASK: Which?", concludes=reply)).run("q")
    assert "answer to task a" in result.output
    assert "answer to Which?" in result.output
    assert not result.complete


async def test_attempts_at_the_whole_question() -> None:
    model = Script("ASK 1: Which?", task=lambda text: "once" if text == "Which?" else "attempt")
    result = await mind(model, planner=planners.sample(2)).run("q")
    assert (result.output, len(result.tasks)) == ("merged", 3)
    assert result.tasks[2].task.needs[0] in ("sample-1", "sample-2")
    assert all("attempt at the whole question" in each for each in model.merges)


async def test_one_answer_is_still_passed_on() -> None:
    model = ScriptedModel("ASK: Which?")
    result = await mind(model, planner=planners.direct()).run("q")
    assert (result.output, result.usage.calls) == ("ASK: Which?", 1)


async def test_with_summaries() -> None:
    long = "word " * 3000
    model = Script("ASK 1: Which?", task=lambda text: "once" if text == "Which?" else long)
    aggregator = aggregators.synthesize(context=3000, ask_again=1)
    result = await mind(model, aggregator=aggregator).run("q")
    assert result.output == "merged"
    assert set(result.tasks[2].task.needs) <= {"a", "b"}
    assert result.tasks[2].task.needs


# Typed answers


class Sum(BaseModel):
    value: int


def typed(
    asks: str, concludes: str = '{"value": 6}', output_type: object = Sum, **options: Any
) -> tuple[Script, Contemplator[Any]]:
    model = Script(asks, concludes)
    return model, mind(model, output_type=output_type, **options)


@pytest.mark.parametrize(
    "asks",
    [
        '{"ask": [], "answer": {"value": 5}}',
        '{"answer": {"value": 5}}',
        '{"ask": [], "answer": {"value": "5"}}',
        '{"value": 5}',
    ],
)
async def test_typed_answers(asks: str) -> None:
    _, contemplator = typed(asks)
    result = await contemplator.run("q")
    assert (result.output, result.usage.calls) == (Sum(value=5), 3)
    assert "ask" not in result.text


async def test_typed_answers_that_ask() -> None:
    _, contemplator = typed('{"ask": [{"question": "Which?", "about": [1]}, {"question": "When?"}], "answer": null}')
    result = await contemplator.run("q")
    assert (result.output, result.text, result.usage.calls) == (Sum(value=6), '{"value": 6}', 6)
    assert [each.task.needs for each in result.tasks[2:]] == [("a",), ()]


async def test_typed_answers_that_are_neither_are_repaired() -> None:
    model, contemplator = typed('{"ask": [], "answer": null}', '{"ask": [], "answer": {"value": 7}}')
    result = await contemplator.run("q")
    assert (result.output, result.text, len(result.tasks)) == (Sum(value=7), '{"value":7}', 2)
    assert "give an answer" in model.merges[1]


async def test_an_early_answer_counts_if_there_is_no_other() -> None:
    asks = '{"ask": [{"question": "Which?"}], "answer": {"value": 5}}'
    model = Script(asks, concludes=ModelRequestError("no", model="scripted"))
    result = await mind(model, output_type=Sum).run("q")
    assert (result.output, result.complete) == (Sum(value=5), False)


@pytest.mark.parametrize(
    ("output_type", "asks", "output"),
    [
        (int, '{"ask": [], "answer": 5}', 5),
        (list[int], '{"ask": [], "answer": [5]}', [5]),
        (Literal["a", "b"], '{"ask": [], "answer": "b"}', "b"),
        (int | None, '{"ask": [], "answer": null}', None),
    ],
)
async def test_types_that_are_no_models(output_type: object, asks: str, output: object) -> None:
    _, contemplator = typed(asks, output_type=output_type)
    journal = Journal(None)
    _, contemplator = typed(asks, output_type=output_type, journal=journal)
    for _ in range(2):
        assert (await contemplator.run("q", run_id="r")).output == output


# Streams


async def streamed(contemplator: Contemplator[Any]) -> tuple[list[OutputDelta], str]:
    heard: list[OutputDelta] = []
    async with contemplator.stream("q") as events:
        async for event in events:
            if isinstance(event, OutputDelta):
                heard.append(event)
    text = ""
    for each in heard:
        text = each.text if each.restart else text + each.text
    return heard, text


LONG = "It is a long answer that is written in many pieces, " * 4


async def test_the_answer_streams_and_the_points_do_not() -> None:
    heard, text = await streamed(mind(Script("ASK: Which of all those dates is the right one, if any?", LONG)))
    assert text == LONG
    assert len(heard) > 10
    assert not any("ASK" in each.text for each in heard)


@pytest.mark.parametrize("answer", [LONG, "4", "Short:\nit is 4", "In short:", "A line\n" * 30])
async def test_an_answer_at_once_streams(answer: str) -> None:
    heard, text = await streamed(mind(Script(answer)))
    assert text == answer
    assert len(heard) > len(answer) / 40


async def test_a_typed_answer_streams_in_its_own_form() -> None:
    _, contemplator = typed('{"ask": [], "answer": {"value": 5}}')
    _, text = await streamed(contemplator)
    assert text == '{"value":5}'
    _, contemplator = typed('{"ask": [{"question": "Which?"}], "answer": null}')
    assert (await streamed(contemplator))[1] == '{"value": 6}'


# Limits


@pytest.mark.parametrize("calls", range(3, 8))
async def test_it_asks_only_where_calls_are_left(calls: int) -> None:
    model = Script("ASK: Which?\nASK: When?", concludes="merged")
    # Without the form it merges at once.
    result = await mind(model, limits=Limits(calls=calls)).run("q")
    assert (result.output, result.complete, result.stopped_by) == ("merged", True, None)
    assert result.usage.calls == {3: 3, 4: 3, 5: 5}.get(calls, 6)


@pytest.mark.parametrize("tasks", [2, 3, 4])
async def test_it_asks_only_where_tasks_are_left(tasks: int) -> None:
    result = await mind(Script("ASK: Which?\nASK: When?"), limits=Limits(tasks=tasks)).run("q")
    assert (result.output, result.stopped_by, len(result.tasks)) == ("merged", None, tasks)


@settings(max_examples=60, deadline=None)
@given(
    calls=st.none() | st.integers(1, 9),
    total=st.none() | st.integers(50, 4000),
    output=st.none() | st.integers(20, 600),
    tasks=st.none() | st.integers(1, 5),
    points=st.integers(1, 4),
    refine=st.booleans(),
)
def test_no_limit_is_exceeded_and_something_comes_back(
    calls: int | None, total: int | None, output: int | None, tasks: int | None, points: int, refine: bool
) -> None:
    limits = Limits(calls=calls, total_tokens=total, output_tokens=output, tasks=tasks)
    asks = "\n".join(f"ASK 1: What is {each}?" for each in range(points))
    model = Script(asks)
    reply = model._reply

    def script(request: ModelRequest) -> ModelResponse:
        text, most = str(reply(request)), request.settings.max_tokens
        response = model._response(request, text if most is None else text[: 4 * most])
        short = most is not None and len(text) > 4 * most
        return response.model_copy(update={"finish": "length"}) if short else response

    async def run() -> None:
        preset = modes.contemplating(refine=int(refine), ask_again=2)
        contemplator = Contemplator(ScriptedModel(script), mode=preset, planner=two, limits=limits)
        try:
            result = await contemplator.run("q")
        except ContemplateError as error:
            assert error.partial is not None
            assert not any(each.answered for each in error.partial.tasks), "what was answered is not lost"
            result = error.partial
        else:
            assert result.output
        assert calls is None or result.usage.calls <= calls
        assert total is None or result.usage.total_tokens <= total
        assert output is None or result.usage.output_tokens <= output
        assert tasks is None or len(result.tasks) <= tasks

    anyio.run(run)


class TestDeadlines:
    """On a clock that jumps ahead when nobody has anything to do."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0)}

    async def test_at_the_deadline_the_results_so_far_are_merged(self) -> None:
        async def script(request: ModelRequest) -> Reply:
            text = request.messages[-1].text
            if text.endswith("Which?"):
                await anyio.sleep_forever()
            if "final answer" in request.messages[0].text:
                return "ASK: Which?" if FORM in text else "merged"
            return "fine"

        result = await mind(ScriptedModel(script), limits=Limits(seconds=20)).run("q")
        assert (result.output, result.stopped_by, result.complete) == ("merged", "seconds", False)
        assert [each.outcome for each in result.tasks] == ["answered", "answered", "cancelled"]
        assert result.missing == ("ask-1",)


# Journals


async def test_wherever_it_is_killed_nothing_is_asked_twice() -> None:
    for limits in (Limits(), Limits(calls=8, tasks=4, total_tokens=20_000)):
        for step in range(0, 70, 3):
            asked: Counter[str] = Counter()
            journal = Journal(None)

            def make(
                asked: Counter[str] = asked, journal: Journal = journal, limits: Limits = limits
            ) -> Contemplator[str]:
                model = Script("ASK 1: Which?\nASK 2: When?")
                reply = model._reply

                def script(request: ModelRequest) -> Reply:
                    asked["\0".join(each.text for each in request.messages)] += 1
                    return reply(request)

                return mind(ScriptedModel(script), journal=journal, limits=limits)

            over = await cancelled_after(step, partial(make().run, "q", run_id="r"))
            result = await make().run("q", run_id="r")
            assert result.output == "merged"
            answered = [each for each in journal.entries("r") if each.outcome == "answered"]
            assert len(answered) == 6, step
            assert len({each.slot for each in answered}) == len(answered)
            assert asked.total() <= 6 + (not over) * 2
            assert (await make().replay("r")).output == "merged"


async def test_aggregated_again_the_points_are_found() -> None:
    journal = Journal(None)
    model = Script("ASK 1: Which?\nASK: When?")
    contemplator = mind(model, journal=journal)
    first = await contemplator.run("q", run_id="r")
    calls, concluded = len(model.requests), model.merges[-1]
    again = await contemplator.reaggregate("r")
    assert (again.output, again.complete, again.support) == ("merged", True, first.support)
    assert len(model.requests) == calls + 1
    assert model.merges[-1] == concluded
    # Another aggregator sees the planner's tasks only.
    seen: list[str] = []

    async def ids(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        seen.extend([each.id async for each in results])
        return "seen"

    plain = await mind(model, journal=journal, aggregator=ids).reaggregate("r")
    assert sorted(seen) == ["a", "b"]
    assert [each.id for each in plain.tasks] == ["a", "b", "ask-1", "ask-2"]
    # And what asked nothing does not ask in a run without subagents.
    await mind(Script("merged"), 0, journal=journal).run("q", run_id="s")
    late = await mind(model, journal=journal).reaggregate("s")
    assert (late.output, late.stopped_by, len(late.tasks)) == ("merged", None, 2)


async def test_estimates() -> None:
    def calls(ask_again: int, wrapped: Callable[[Any], Any] = lambda each: each) -> tuple[float, float | None]:
        aggregator = wrapped(aggregators.synthesize(ask_again=ask_again))
        found = mind(ScriptedModel(""), planner=planners.sample(3), aggregator=aggregator).estimate("q").calls
        return found.low, found.high

    assert calls(0) == (4, 4)
    assert calls(2) == (4, 7)
    assert calls(2, lambda each: aggregators.quorum(each, enough=2)) == (4, 7)
    assert calls(2, lambda each: aggregators.by_kind(candidates=aggregators.vote(), others=each))[1] == 7
    preset = modes.contemplating(refine=1, ask_again=2)
    estimate = Contemplator(ScriptedModel(""), mode=preset).estimate("q")
    # A plan, two to six tasks, each revised, two points, each revised, and two merges.
    assert (estimate.calls.low, estimate.calls.high) == (6, 2 + 6 * 2 + 2 * 2 + 2)
    with pytest.raises(ConfigurationError, match="must be at least 0"):
        aggregators.synthesize(ask_again=-1)
