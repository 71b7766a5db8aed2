"""Modes: ready pairs, and councils."""

from __future__ import annotations

from typing import get_args

import pytest

from contemplate import Contemplator, aggregators, modes, planners
from contemplate.cli.arguments import MODES
from contemplate.errors import ConfigurationError
from contemplate.models import ModelRequest
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
