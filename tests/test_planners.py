"""The planner that is a model: read while it writes, mended where there is one reading, and never trusted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate import Contemplator, aggregators, planners
from contemplate.errors import ConfigurationError, ModelServerError
from contemplate.models import ModelRequest
from contemplate.planners.drafts import Draft, DraftReader
from contemplate.result import RunResult
from contemplate.testing import ScriptedModel


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
    result, _ = await run(plan_of(*(task(str(i)) for i in range(10_000))), max_tasks=3)
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
    assert [each.model_dump() if isinstance(each, Draft) else each for each in found] == tasks


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
