"""Modes: ready pairs, and councils."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import get_args

import pytest

from contemplate import Contemplator, ModelSettings, aggregators, modes, planners
from contemplate.cli.arguments.common import MODES
from contemplate.errors import ConfigurationError
from contemplate.models import Brevity, LocalModel, Model, ModelRequest, Retry, brevity_of
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio


def member(name: str) -> ScriptedModel:
    return ScriptedModel(f"{name} says so", name=name)


async def test_a_council_of_models_and_their_chair() -> None:
    chair = ScriptedModel("concluded", name="chair")
    members = [member("one"), member("two"), member("three")]
    result = await Contemplator(chair, mode=modes.council(*members)).run("Why?")
    assert result.output == "concluded"
    assert [each.model for each in result.tasks] == ["one", "two", "three"]
    assert [len(each.requests) for each in members] == [1, 1, 1]
    assert result.usage.calls == 4
    (asked,) = chair.requests
    shown = asked.messages[-1].text
    assert all(f"{name} says so" in shown for name in ("one", "two", "three"))
    assert "Answer:" not in members[0].requests[0].messages[-1].text


async def test_a_council_of_one_model_goes_about_it_in_four_ways() -> None:
    asked: list[ModelRequest] = []

    def reply(request: ModelRequest) -> str:
        asked.append(request)
        return f"answer {len(asked)}"

    result = await Contemplator(ScriptedModel(reply), mode="council").run("Why?")
    assert len(result.tasks) == 4
    assert result.output == "answer 5"
    assert len({request.messages[-1].text for request in asked[:4]}) == 4


async def test_a_member_that_fails_leaves_the_others() -> None:
    failing = ScriptedModel([RuntimeError("down")], name="failing")
    result = await Contemplator(ScriptedModel("concluded"), mode=modes.council(member("one"), failing)).run("Why?")
    assert result.output == "concluded"
    assert [each.outcome for each in result.tasks] == ["answered", "failed"]


async def test_a_preset_of_ones_own() -> None:
    mine = modes.Preset(planners.direct(), aggregators.first())
    assert (await Contemplator(ScriptedModel("yes"), mode=mine).run("Is it so?")).output == "yes"


def test_every_mode_is_known_by_name_on_the_command_line() -> None:
    assert get_args(modes.Mode) == MODES
    for mode in get_args(modes.Mode):
        assert isinstance(modes.preset(mode), modes.Preset)


def test_no_such_mode() -> None:
    with pytest.raises(ConfigurationError, match="there is no mode 'voting'"):
        modes.preset("voting")  # type: ignore[arg-type]


@pytest.mark.parametrize("instructions", [None, "Speak French."])
async def test_instant_sends_the_question_alone(instructions: str | None) -> None:
    model = ScriptedModel("yes")
    await Contemplator(model, mode="instant", instructions=instructions).run("Is it so?")
    (request,) = model.requests
    system = [] if instructions is None else [("system", instructions)]
    assert [(each.role, each.text) for each in request.messages] == [*system, ("user", "Is it so?")]


class Slow(ScriptedModel):
    brevity = Brevity(tasks=2, max_tokens=123, answer_tokens=234)


def planned(tasks: int) -> str:
    return json.dumps(
        {"tasks": [{"title": f"T{i}", "prompt": f"part {i}", "needs": [1] if i else []} for i in range(tasks)]}
    )


def slow(tasks: int) -> Slow:
    return Slow(lambda request: planned(tasks) if request.output_schema else "short")


@pytest.mark.parametrize("mode", ["contemplating", "auto"])
@pytest.mark.parametrize("wrap", [lambda model: model, Retry])
async def test_a_slow_model_contemplates_briefly(mode: modes.Mode, wrap: Callable[[Model], Model]) -> None:
    model = slow(4)
    result = await Contemplator(wrap(model), mode=mode).run("Why?")
    assert len(result.plan.tasks) == 2
    planning, *parts, merge = model.requests
    assert planning.output_schema is not None
    assert "at most 2 tasks" in planning.messages[0].text
    assert [each.settings.max_tokens for each in parts] == [123, 123]
    assert merge.settings.max_tokens == 234
    for each in (*parts, merge):
        assert each.messages[-1].text.endswith("short sentences, and then stop.")
    assert [task.needs for task in result.plan.tasks] == [(), ()], "they do not wait for each other"


async def test_what_it_can_simply_answer_it_answers() -> None:
    model = slow(1)
    result = await Contemplator(model).run("Why?")
    assert result.usage.calls == 2
    assert result.output == "short"


async def test_what_users_say_comes_before_brevity() -> None:
    model = slow(2)
    mind = Contemplator(model, settings=ModelSettings(max_tokens=999, temperature=0), instructions="In French.")
    await mind.run("Why?")
    _, part, *_ = model.requests
    assert (part.settings.max_tokens, part.settings.temperature) == (999, 0)
    assert "In French." in part.messages[0].text


@pytest.mark.parametrize("mode", ["instant", "thinking", "vote", "refine", "council", "verify"])
async def test_other_modes_are_as_long_as_ever(mode: modes.Mode) -> None:
    model = Slow("Answer: 1")
    await Contemplator(model, mode=mode).run("Why?")
    assert {each.settings.max_tokens for each in model.requests} == {None}


async def test_a_planner_of_ones_own_is_told_nothing() -> None:
    model = Slow("Answer: 1")
    await Contemplator(model, planner=planners.sample(2)).run("Why?")
    assert model.requests[0].settings.max_tokens is None
    assert "sentences" not in model.requests[0].messages[0].text


def test_local_models_are_brief_unless_they_are_not_to_be() -> None:
    assert brevity_of(LocalModel("qwen2.5-coder-0.5b")) == Brevity()
    assert brevity_of(LocalModel("qwen2.5-coder-0.5b", brevity=None)) is None
    assert brevity_of(ScriptedModel("")) is None
