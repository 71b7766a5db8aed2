"""The planner that is a model: read while it writes, mended where there is one reading, and never trusted."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, Limits, ModelSettings, aggregators, planners
from contemplate.errors import ConfigurationError, LimitExceeded, ModelServerError
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.planners.plan_parser import Draft, DraftReader
from contemplate.result import RunResult
from contemplate.run.protocols import Planner
from contemplate.testing import ScriptedModel

from .patience import PATIENCE


def plan_of(*tasks: dict[str, object]) -> str:
    return json.dumps({"tasks": list(tasks)})


def task(title: str = "t", needs: object = ()) -> dict[str, object]:
    return {"title": title, "prompt": f"do {title}", "needs": needs}


async def run(*plans: str | Exception, max_tasks: int = 6, min_tasks: int = 2) -> tuple[RunResult[str], ScriptedModel]:
    left = list(plans)

    def script(request: ModelRequest) -> str | Exception:
        if request.output_schema is not None and request.output_schema.name == "plan":
            return left.pop(0)
        return "an answer"

    model = ScriptedModel(script)
    mind = Contemplator(
        model,
        planner=planners.model(max_tasks, min_tasks=min_tasks),
        aggregator=aggregators.synthesize(),
        stream=True,
    )
    return await mind.run("the question"), model


pytestmark = pytest.mark.anyio


async def test_a_good_plan_is_run_as_it_stands() -> None:
    result, _ = await run(plan_of(task("a"), task("b"), task("c", [1, 2])))
    assert [(each.id, each.label, each.needs) for each in result.plan.tasks] == [
        ("1", "a", ()),
        ("2", "b", ()),
        ("3", "c", ("1", "2")),
    ]
    assert result.notes == ()
    assert result.usage.calls == 5


async def test_needs_that_name_no_earlier_task_are_dropped_with_a_note() -> None:
    result, _ = await run(plan_of(task("a", [1, 2]), task("b", [1, 1, 9, 0, -3])))
    assert [each.needs for each in result.plan.tasks] == [(), ("1",)]
    assert any("needs 1, 2" in note for note in result.notes)
    assert any("-3, 0, 9" in note for note in result.notes)


async def test_too_many_tasks_are_dropped_with_a_note() -> None:
    result, _ = await run(plan_of(*(task(str(i)) for i in range(2_000))), max_tasks=3)
    assert len(result.tasks) == 3
    assert any("more than 3 tasks" in note for note in result.notes)


@pytest.mark.parametrize(
    "rubbish", ["", "I cannot do that.", '{"tasks": []}', '{"tasks": [{"needs": []}, 5]}', "{" * 500]
)
async def test_a_plan_without_a_task_is_repaired_once(rubbish: str) -> None:
    result, model = await run(rubbish, plan_of(task("a"), task("b")))
    assert len(result.tasks) == 2
    assert "That is no plan that can be used" in model.requests[1].messages[-1].text


async def test_after_a_second_bad_plan_the_question_is_asked_as_it_is() -> None:
    result, model = await run("no", "no again")
    assert result.output == "an answer"
    assert [(each.task.kind, each.task.prompt) for each in result.tasks] == [("answer", "the question")]
    assert result.usage.calls == 3
    assert len(model.requests) == 3


async def test_what_was_complete_before_a_plan_broke_off_is_run() -> None:
    whole = plan_of(task("a"), task("b"), task("c"))
    result, _ = await run(whole[: whole.index('"c"')])
    assert [each.task.label for each in result.tasks] == ["a", "b"]


async def test_a_planner_whose_model_fails_ends_the_run() -> None:
    with pytest.raises(ModelServerError, match="down"):
        await run(ModelServerError("down", model="m"))


async def test_with_min_tasks_1_a_single_task_means_the_question_itself() -> None:
    result, model = await run(plan_of(task("a")), min_tasks=1)
    assert [each.task.prompt for each in result.tasks] == ["the question"]
    assert len(model.requests) == 2
    result, _ = await run(plan_of(task("a"), task("b")), min_tasks=1)
    assert [each.task.label for each in result.tasks] == ["a", "b"]


@pytest.mark.parametrize(("low", "high"), [(0, 3), (4, 3)])
def test_numbers_that_contradict_each_other(low: int, high: int) -> None:
    with pytest.raises(ConfigurationError, match="min_tasks"):
        planners.model(high, min_tasks=low)


async def test_the_plan_says_which_role_gets_a_task() -> None:
    drafts = [{**task("a"), "role": "strong"}, {**task("b"), "role": "fast"}, {**task("c"), "role": "nobody"}]
    usual = ScriptedModel(lambda request: plan_of(*drafts) if request.output_schema is not None else "done")
    fast, strong = ScriptedModel("done", name="small"), ScriptedModel("done", name="large")
    planner = planners.model(roles={"fast": fast, "strong": strong})
    result = await Contemplator(usual, planner=planner, aggregator=aggregators.synthesize()).run("q")
    assert [each.model for each in result.tasks] == ["large", "small", "scripted"]
    assert any("task 3" in note and "'nobody'" in note for note in result.notes)
    asked = usual.requests[0]
    assert '"fast", "strong"' in asked.messages[0].text
    assert asked.output_schema is not None
    assert json.dumps(asked.output_schema.schema).count('"enum": ["fast", "strong"]') == 1


async def test_without_roles_a_plan_has_none() -> None:
    result, model = await run(plan_of({**task("a"), "role": "strong"}, task("b")))
    assert [each.model for each in result.tasks] == ["scripted"] * 2
    assert "role" not in json.dumps(model.requests[0].output_schema and model.requests[0].output_schema.schema)
    assert result.notes == ()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("planner", "titles"),
    [
        (planners.direct(), ["Answer"]),
        (planners.orchestrate(), ["Answer"]),
        (planners.sample(2), ["Sample 1", "Sample 2"]),
        (planners.rounds(1, 1, 2), ["Round 1, attempt 1", "Round 2, attempt 1"]),
        (planners.as_needed(planners.model()), ["Answer"]),
    ],
    ids=["direct", "orchestrate", "sample", "rounds", "as_needed"],
)
async def test_each_task_has_a_title(planner: Planner, titles: list[str]) -> None:
    """It is what a live view shows of a task."""
    result = await Contemplator(ScriptedModel("4"), planner=planner, aggregator=aggregators.synthesize()).run("2 + 2?")
    assert [each.title for each in result.plan.tasks] == titles


async def test_samples_differ_in_seed_and_in_what_is_given() -> None:
    other = ScriptedModel("Answer: 5", name="other")
    model = ScriptedModel("Answer: 4")
    planner = planners.sample(
        4, personas=["You are A.", "You are B."], strategies=["Work backwards."], models=[model, other]
    )
    mind = Contemplator(model, planner=planner, aggregator=aggregators.vote(stop=None))
    result = await mind.run("q")
    assert [each.settings.seed for each in [*model.requests, *other.requests]] == [0, 2, 1, 3]
    assert [each.model for each in result.tasks] == ["scripted", "other"] * 2
    assert "You are B.\n\nWork backwards." in other.requests[0].messages[-1].text
    assert result.support == ("sample-1", "sample-3")


async def test_two_models_with_one_name_are_told_apart() -> None:
    first, second = ScriptedModel("Answer: 4"), ScriptedModel("Answer: 5")
    mind = Contemplator(
        first, planner=planners.sample(2, models=[first, second]), aggregator=aggregators.vote(stop=None)
    )
    result = await mind.run("q")
    assert (len(first.requests), len(second.requests)) == (1, 1)
    assert [each.model for each in result.tasks] == ["scripted", "scripted#2"]


DRAFTS = st.lists(
    st.fixed_dictionaries(
        {
            "title": st.text(max_size=20),
            "prompt": st.text(min_size=1, max_size=50),
            "needs": st.lists(st.integers(), max_size=3),
        }
    ),
    max_size=5,
)


@given(DRAFTS, st.data())
def test_drafts_do_not_depend_on_how_the_text_is_cut(tasks: list[dict[str, object]], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(["", "Here is the plan:\n```json\n"])) + json.dumps({"tasks": tasks})
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    reader = DraftReader()
    found: list[Draft | str] = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += reader.feed(text[start:end])
    assert [each.model_dump(include=set(task())) if isinstance(each, Draft) else each for each in found] == tasks


@given(st.lists(st.text(alphabet='{}[]"\\:,aé1 \n', max_size=30), max_size=20))
def test_no_text_breaks_the_reader(pieces: list[str]) -> None:
    reader = DraftReader()
    for piece in pieces:
        for each in reader.feed(piece):
            assert isinstance(each, Draft | str)


def test_a_task_that_is_too_long_is_passed_over_without_being_kept() -> None:
    reader = DraftReader()
    reader.feed('{"tasks": [{"prompt": "')
    for _ in range(1000):
        reader.feed("x" * 1000)
    problem, good = reader.feed('"}, {"prompt": "good"}]}')
    assert isinstance(problem, str)
    assert "characters long" in problem
    assert isinstance(good, Draft)


class TestStreaming:
    """The plan as it arrives, and what a model may do wrong on the way."""

    @staticmethod
    def mind(model: object, **more: object) -> Contemplator:
        parts: Any = {"planner": planners.model(), "aggregator": aggregators.synthesize(), **more}
        mind: Contemplator[str] = Contemplator(model, **parts)  # type: ignore[call-overload]
        return mind

    async def test_a_task_starts_before_the_next_one_is_written(self) -> None:
        whole = plan_of(task("a"), task("b", [1]))
        cut = whole.index('"b"')
        started = anyio.Event()

        class Slow(ScriptedModel):
            async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
                if request.output_schema is None:
                    started.set()
                    return await super().request(request, on_delta)
                assert on_delta is not None
                on_delta(Delta(whole[:cut]))
                await started.wait()
                on_delta(Delta(whole[cut:]))
                return await ScriptedModel(whole).request(request)

        with anyio.fail_after(PATIENCE):
            result = await self.mind(Slow("done")).run("q")
        assert [each.outcome for each in result.tasks] == ["answered", "answered"]

    async def test_a_model_that_does_not_stream_can_plan(self) -> None:
        class Mute(ScriptedModel):
            async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
                return await super().request(request, None)

        def script(request: ModelRequest) -> str:
            return plan_of(task("a"), task("b")) if request.output_schema is not None else "done"

        result = await self.mind(Mute(script)).run("q")
        assert [each.task.label for each in result.tasks] == ["a", "b"]
        assert result.notes == ()

    @pytest.mark.parametrize("handed_out", [True, False])
    async def test_a_stream_that_starts_over(self, handed_out: bool) -> None:
        whole = plan_of(task("a"), task("b"), task("c"))
        said = whole[: whole.index('"b"')] if handed_out else whole[:12]

        class Twice(ScriptedModel):
            async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
                if request.output_schema is not None and on_delta is not None:
                    on_delta(Delta(said))
                    on_delta(Delta(restart=True))
                return await super().request(request, on_delta)

        model = Twice(lambda request: whole if request.output_schema is not None else "done")
        result = await self.mind(model).run("q")
        assert [each.task.label for each in result.tasks] == (["a"] if handed_out else ["a", "b", "c"])

    async def test_a_plan_that_breaks_off_after_its_first_tasks(self) -> None:
        whole = plan_of(task("a"), task("b"), task("c"))

        class Breaks(ScriptedModel):
            async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
                if request.output_schema is None or on_delta is None:
                    return await super().request(request, on_delta)
                on_delta(Delta(whole[: whole.index('"c"')]))
                raise ModelServerError("gone", model="m")

        result = await self.mind(Breaks("done")).run("q")
        assert [each.task.label for each in result.tasks] == ["a", "b"]
        assert result.notes == ("the plan was interrupted (m: gone); its complete tasks are run",)

    async def test_no_room_for_the_plan_is_an_error_that_names_the_limit(self) -> None:
        with pytest.raises(LimitExceeded, match="total_tokens = 50"):
            await self.mind(ScriptedModel("x"), limits=Limits(total_tokens=50)).run("q")

    async def test_a_limit_on_tasks_cuts_the_plan(self) -> None:
        def script(request: ModelRequest) -> str:
            return plan_of(*map(task, "abcdef")) if request.output_schema is not None else "done"

        result = await self.mind(ScriptedModel(script), limits=Limits(tasks=2)).run("q")
        assert [each.task.label for each in result.tasks] == ["a", "b"]
        assert (result.stopped_by, result.complete) == ("tasks", False)

    async def test_the_planners_model_and_settings_are_its_own(self) -> None:
        other = ScriptedModel(plan_of(task("a"), task("b")), name="other")
        mine = ScriptedModel("done")
        planner = planners.model(model=other, settings=ModelSettings(temperature=0))
        await Contemplator(mine, planner=planner, aggregator=aggregators.synthesize()).run("q")
        assert len(other.requests) == 1
        assert other.requests[0].settings.temperature == 0
        assert len(mine.requests) == 3


async def test_one_planner_serves_many_runs_at_once() -> None:
    def script(request: ModelRequest) -> str:
        asked = request.messages[-1].text.split()[-1]
        return plan_of(task(asked), task(asked)) if request.output_schema is not None else "done"

    mind = Contemplator(ScriptedModel(script), planner=planners.model(), aggregator=aggregators.synthesize())
    labels: dict[str, list[str]] = {}

    async def one(question: str) -> None:
        labels[question] = [each.task.label for each in (await mind.run(question)).tasks]

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, f"q{number}")
    assert all(found == [question] * 2 for question, found in labels.items())


def test_a_sample_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="n=0"):
        planners.sample(0)
