"""Roles: each may have a model of its own, with settings of its own, and another model for when that one fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contemplate import Contemplator, ModelSettings, aggregators, planners
from contemplate.errors import ModelServerError
from contemplate.messages import Message, ToolCall
from contemplate.models import Fallback, ModelRequest
from contemplate.run.protocols import Aggregator, Planner
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio

PLAN = '{"tasks": [{"title": "a", "prompt": "a", "needs": []}, {"title": "b", "prompt": "b", "needs": []}]}'
FINISH = '{"reason": "", "support": [1], "solution": "concluded"}'


def leading(request: ModelRequest) -> str | Message:
    """The leader of `orchestrate`: two tasks, and that was it."""
    if len(request.messages) > 2:
        return "Done."
    calls = [ToolCall(id=name, name="spawn", arguments=f'{{"title": "{name}", "prompt": "{name}"}}') for name in "ab"]
    return Message.assistant("", tuple(calls))


@pytest.mark.parametrize("fails", [False, True], ids=["", "the first one fails"])
@pytest.mark.parametrize(
    ("planner", "plans"), [(planners.model, PLAN), (planners.orchestrate, leading)], ids=["model", "orchestrate"]
)
@pytest.mark.parametrize(
    ("aggregator", "concludes"),
    [
        (aggregators.synthesize, "concluded"),
        (aggregators.judge, '{"reason": "", "best": "1"}'),
        (aggregators.tournament, '{"reason": "", "better": "1"}'),
        (aggregators.agentic, FINISH),
        (lambda **role: aggregators.vote(by_meaning=True, stop=None, **role), '{"same": true}'),
    ],
    ids=["synthesize", "judge", "tournament", "agentic", "vote"],
)
async def test_each_is_asked_as_it_was_set_up(
    planner: Callable[..., Planner], plans: Any, aggregator: Callable[..., Aggregator], concludes: str, fails: bool
) -> None:
    asked = {
        "planner": ScriptedModel(plans, name="planner"),
        "subagent": ScriptedModel(lambda request: f"I say {request.messages[-1].text[-40:]}", name="subagent"),
        "aggregator": ScriptedModel(concludes, name="aggregator"),
    }
    settings = {role: ModelSettings(temperature=number / 10) for number, role in enumerate(asked)}
    down = ScriptedModel(lambda _: ModelServerError("down", model="first"), name="first")
    models = {role: Fallback([down, model]) if fails else model for role, model in asked.items()}
    mind = Contemplator(
        models["subagent"],
        settings=settings["subagent"],
        planner=planner(model=models["planner"], settings=settings["planner"]),
        aggregator=aggregator(model=models["aggregator"], settings=settings["aggregator"]),
    )
    result = await mind.run("q")
    assert len(result.tasks) == 2
    for role, model in asked.items():
        assert model.requests, role
        assert {request.settings.temperature for request in model.requests} == {settings[role].temperature}
    assert result.usage.calls == sum(len(model.requests) for model in asked.values())
    assert bool(down.requests) == fails
