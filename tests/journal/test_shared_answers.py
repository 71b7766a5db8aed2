"""Answers that runs have in common: what is equal, what is not, and what is paid for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import contemplate
from contemplate import (
    Answer,
    ComparisonReport,
    Contemplator,
    Example,
    Limits,
    Message,
    ModelSettings,
    Task,
    TaskContext,
    aggregators,
    planners,
)
from contemplate.errors import ModelServerError
from contemplate.events import ModelCalled
from contemplate.journal import Journal, SharedAnswers
from contemplate.models import DeltaSink, ModelRequest, ModelResponse, OpenAIModel, PromptedTools
from contemplate.models.wrappers.base import Wrapper
from contemplate.testing import FaultyServer, ScriptedModel
from contemplate.usage import Price

from ..patience import PATIENCE

pytestmark = pytest.mark.anyio

GREEDY = ModelSettings(temperature=0)
ONE = [Example("What is 1 and 1?", "2", id="one")]


def way(model: Any, settings: ModelSettings = GREEDY, **options: Any) -> Contemplator[str]:
    return Contemplator(model, mode="instant", settings=settings, **options)


def vote(model: Any, n: int, **options: Any) -> Contemplator[str]:
    return Contemplator(model, planner=planners.sample(n), aggregator=aggregators.vote(stop=None), **options)


async def compared(*ways: Contemplator[str], journal: Any = "memory:", **options: Any) -> ComparisonReport:
    with anyio.fail_after(PATIENCE):
        named = {str(number): each for number, each in enumerate(ways)}
        return await contemplate.compare(named, options.pop("questions", ONE), journal=journal, **options)


def right(request: ModelRequest) -> str:
    return "Answer: 2"


def settings(**given: Any) -> ModelSettings:
    return ModelSettings(**given)


@pytest.mark.parametrize(
    ("one", "other", "calls"),
    [
        (settings(temperature=0), settings(temperature=0), 1),
        (settings(temperature=0), settings(temperature=0, max_tokens=9), 2),
        (settings(), settings(), 2),
        (settings(temperature=0.7), settings(temperature=0.7), 2),
        (settings(temperature=0.7, seed=1), settings(temperature=0.7, seed=1), 1),
        (settings(seed=1), settings(seed=1), 1),
        (settings(seed=1), settings(seed=2), 2),
    ],
)
async def test_equal_requests_are_asked_once_but_for_samples(one: Any, other: Any, calls: int) -> None:
    model = ScriptedModel(right)
    report = await compared(way(model, one), way(model, other))
    assert len(model.requests) == calls
    assert report.spent.calls == calls


def look(word: str) -> str:
    """Look a word up."""
    return word


@pytest.mark.parametrize(
    ("other", "calls"),
    [({}, 1), ({"instructions": "Be brief."}, 2), ({"tools": [look]}, 2), ({"output_type": list[int]}, 2)],
)
async def test_all_of_a_request_counts(other: dict[str, Any], calls: int) -> None:
    model = ScriptedModel(lambda request: '{"value": [2]}')
    await compared(way(model), way(model, **other), metric=lambda result, expected: 1)
    assert len(model.requests) == calls


async def test_the_model_counts() -> None:
    one, other = (ScriptedModel(right, name=name) for name in ("one", "other"))
    await compared(way(one), way(other))
    assert [len(one.requests), len(other.requests)] == [1, 1]


async def test_samples_with_equal_seeds_are_shared_and_count_for_each_way() -> None:
    model = ScriptedModel(right, price=Price(input=1e6, output=0))
    report = await compared(vote(model, 2), vote(model, 5))
    assert len(model.requests) == 5
    two, five = (report[each].usage for each in report)
    assert (two.calls, five.calls) == (2, 5)
    assert report.spent == five
    assert five.cost_usd == 5 / 2 * (two.cost_usd or 0)


async def test_other_comparisons_share_them_too(tmp_path: Path) -> None:
    journal, model = f"sqlite:///{tmp_path}/runs.db", ScriptedModel(right)
    first = await compared(way(model), journal=journal)
    again = await compared(way(model), journal=journal)
    other = await compared(way(model), journal=journal, name="other")
    assert len(model.requests) == 1
    assert [each.spent.calls for each in (first, again, other)] == [1, 0, 0]
    assert [each["0"].usage for each in (again, other)] == [first["0"].usage] * 2


async def test_without_a_journal_nothing_is_shared() -> None:
    model = ScriptedModel(right)
    report = await compared(way(model), way(model), journal=None)
    assert len(model.requests) == 2
    assert report.spent.calls == 2


async def test_the_same_request_once_more_in_a_run_is_another_one() -> None:
    model = ScriptedModel(lambda request: f"said {len(model.requests)}")

    async def twice(task: Task, ctx: TaskContext) -> Answer:
        request = ModelRequest((Message.user(task.prompt),), GREEDY)
        return Answer(" ".join([(await ctx.call(request)).message.text for _ in range(2)]))

    ways = [Contemplator(model, mode="instant", agent=twice) for _ in range(2)]
    report = await compared(*ways, metric=lambda result, expected: result.text == "said 1 said 2")
    assert [list(report[each].scores.values()) for each in report] == [[1], [1]]
    assert len(model.requests) == 2


async def test_what_a_model_adds_to_a_request_counts() -> None:
    class Settled(Wrapper):
        def __init__(self, inner: Any, settings: ModelSettings) -> None:
            super().__init__(inner)
            self.settings = settings

        async def request(self, request: ModelRequest, on_delta: Any = None) -> ModelResponse:
            return await self.inner.request(request, on_delta)

    model = ScriptedModel(right)
    unset = ModelSettings()
    ways = [way(Settled(model, each), unset) for each in (GREEDY, GREEDY, settings(temperature=0, max_tokens=9))]
    await compared(*ways)
    assert len(model.requests) == 2
    assert OpenAIModel("m", api_key="k", settings=GREEDY).settings == GREEDY


async def test_how_a_model_is_wrapped_counts() -> None:
    """Else a way whose tools are described in the prompt would have the answers of one whose tools are not."""
    model = ScriptedModel("Answer: 2")
    ways = [way(each, tools=[look]) for each in (model, PromptedTools(model), PromptedTools(model))]
    await compared(*ways)
    assert [bool(request.tools) for request in model.requests] == [True, False]


async def test_where_a_model_is_counts() -> None:
    with FaultyServer("Answer: 2") as one, FaultyServer("Answer: 3") as other:
        models = [OpenAIModel("m", base_url=each.url, api_key="none") for each in (one, other, one)]
        report = await compared(*map(way, models))
        assert [len(each.exchanges) for each in (one, other)] == [1, 1]
    assert [list(report[each].scores.values()) for each in report] == [[1], [0], [1]]


async def test_errors_are_not_shared() -> None:
    model = ScriptedModel([ModelServerError("down", model="m"), "Answer: 2", "Answer: 3"])
    report = await compared(way(model), way(model), way(model))
    assert [list(report[each].scores.values()) for each in report] == [[], [1], [1]]
    assert report.spent.calls == 2


class Gate:
    """A model whose answer waits until the gate is opened."""

    name = "gate"
    price = Price(input=0, output=0)

    def __init__(self) -> None:
        self.opened = anyio.Event()
        self.asked = anyio.Event()
        self.inner = ScriptedModel(right, name="gate")

    async def request(self, request: ModelRequest, on_delta: Any = None) -> Any:
        response = await self.inner.request(request)
        self.asked.set()
        await self.opened.wait()
        return response


def in_common(model: Any, journal: Journal) -> tuple[SharedAnswers, Callable[..., Contemplator[str]]]:
    answers = SharedAnswers(journal)
    return answers, lambda **options: way(model, **options).with_journal(journal, answers=answers)


async def test_who_asks_the_same_at_the_same_time_waits() -> None:
    gate = Gate()
    answers, mind = in_common(gate, Journal())
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(mind().run, "q")
            await gate.asked.wait()
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()
    assert len(gate.inner.requests) == 1
    assert answers.spent.calls == 1


async def test_what_is_cut_off_is_not_shared_and_who_waits_for_it_asks() -> None:
    gate = Gate()
    answers, mind = in_common(gate, Journal())
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as others:
            async with anyio.create_task_group() as group:
                group.start_soon(mind().run, "q")
                await gate.asked.wait()
                others.start_soon(mind().run, "q")
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
            gate.opened.set()
    assert len(gate.inner.requests) == 2
    assert answers.spent.calls == 2
    assert not answers._asking


async def test_what_was_answered_is_kept_though_nobody_waits_for_it_any_more() -> None:
    scope = anyio.CancelScope()

    class Late:
        name = "late"
        inner = ScriptedModel(right)

        async def request(self, request: ModelRequest, on_delta: Any = None) -> ModelResponse:
            response = await self.inner.request(request)
            scope.cancel()
            return response

    model = Late()
    _, mind = in_common(model, Journal())
    with anyio.fail_after(PATIENCE):
        with scope:
            await mind().run("q")
        assert (await mind().run("q")).text == "Answer: 2"
    assert scope.cancelled_caught
    assert len(model.inner.requests) == 1


async def test_who_is_cut_off_while_it_waits_has_spent_nothing() -> None:
    gate = Gate()
    answers, mind = in_common(gate, Journal())
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as first:
            first.start_soon(mind().run, "q")
            await gate.asked.wait()
            async with anyio.create_task_group() as second:
                second.start_soon(mind().run, "q")
                await anyio.wait_all_tasks_blocked()
                second.cancel_scope.cancel()
            gate.opened.set()
    assert answers.spent.calls == 1
    assert not answers._asking


async def test_a_call_that_was_answered_before_is_told_as_recorded_and_counts_in_limits() -> None:
    told: list[ModelCalled] = []
    model, journal = ScriptedModel(right), Journal()
    _, mind = in_common(model, journal)
    listening = mind(on_event=lambda event: told.append(event) if isinstance(event, ModelCalled) else None)
    results = [await listening.run("q", limits=Limits(calls=1)) for _ in range(2)]
    assert [each.recorded for each in told] == [False, True]
    assert told[0].usage == told[1].usage
    assert results[0].usage == results[1].usage
    assert len(model.requests) == 1


async def test_a_damaged_answer_is_asked_again() -> None:
    model, journal = ScriptedModel(right), Journal()
    _, mind = in_common(model, journal)
    await mind().run("q")
    journal.store.write(lambda connection: connection.execute("UPDATE answers SET body = 'x'"), 1.0)
    assert (await mind().run("q")).text == "Answer: 2"
    assert len(model.requests) == 2


async def test_a_run_in_another_event_loop_shares_them_too() -> None:
    """The event loop of the run around it is blocked meanwhile: nobody can wait there."""
    model, journal = ScriptedModel(right), Journal()
    answers = SharedAnswers(journal)

    async def blocking(task: Task, ctx: TaskContext) -> Answer:
        return Answer(way(model).run_sync("What is within?").text)

    mind = Contemplator(model, mode="instant", agent=blocking).with_journal(journal, answers=answers)
    with anyio.fail_after(PATIENCE):
        assert [(await mind.run(f"q{number}")).text for number in range(2)] == ["Answer: 2"] * 2
    assert len(model.requests) == 1
    assert answers.spent.calls == 1


class TestTime:
    """On a clock on which a call takes ten seconds."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0.05)}

    async def test_a_shared_answer_takes_as_long_as_it_took(self) -> None:
        async def slow(request: ModelRequest) -> str:
            await anyio.sleep(10)
            return "Answer: 2"

        model, journal = ScriptedModel(slow), Journal()
        _, mind = in_common(model, journal)
        for _ in range(2):
            began = anyio.current_time()
            await mind().run("q")
            assert anyio.current_time() - began == pytest.approx(10, abs=1)
        with anyio.move_on_after(5) as deadline:
            await mind().run("q")
        assert deadline.cancelled_caught
        assert len(model.requests) == 1


async def test_event_loops_in_several_threads_share_answers_one_after_the_other(tmp_path: Path) -> None:
    """Whoever asks in one event loop cannot be waited for in another one."""
    journal = Journal(tmp_path / "j")
    answers, inside, both = SharedAnswers(journal), [threading.Event() for _ in range(2)], ScriptedModel("yes")

    class Meeting(ScriptedModel):
        """Each asks while the other one does."""

        async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
            mine = len(both.requests)
            response = await both.request(request, on_delta)
            inside[mine].set()
            assert inside[1 - mine].wait(PATIENCE)
            return response

    mind = way(Meeting("")).with_journal(journal, answers=answers)

    async def elsewhere(name: str) -> None:
        await anyio.to_thread.run_sync(lambda: mind.run_sync("So?", run_id=name))

    async with anyio.create_task_group() as group:
        for name in ("a", "b"):
            group.start_soon(elsewhere, name)
    assert len(both.requests) == answers.spent.calls == 2
    assert (await mind.run("So?", run_id="later")).output == "yes"
    assert len(both.requests) == 2
    journal.close()


async def test_whatever_keeps_an_answer_from_being_shared_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(SharedAnswers, "_save", fail)
    journal = Journal(tmp_path / "j")
    mind = way(ScriptedModel("yes")).with_journal(journal, answers=SharedAnswers(journal))
    assert (await mind.run("So?")).output == "yes"
    journal.close()
