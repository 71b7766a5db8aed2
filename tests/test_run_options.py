"""Options of one run, over those of the contemplator."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from contemplate import Answer, Contemplator, ModelSettings, Task, TaskContext
from contemplate.errors import ConfigurationError
from contemplate.events import Event
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Verdict(BaseModel):
    genuine: bool


def asked_of(model: ScriptedModel) -> ModelRequest:
    return model.requests[-1]


async def test_a_run_may_have_another_model_settings_instructions_and_tools() -> None:
    def clock() -> str:
        """Return the time."""
        return "noon"

    def stars() -> str:
        """Return the stars."""
        return "bright"

    own, other = ScriptedModel(["own"], name="own"), ScriptedModel(["other"], name="other")
    mind = Contemplator(
        own, mode="instant", tools=[clock], instructions="Be kind.", settings=ModelSettings(temperature=0.1, top_p=0.2)
    )
    result = await mind.run(
        "Why?", model=other, settings=ModelSettings(temperature=0.9), instructions="Be brief.", tools=[stars]
    )
    assert result.output == "other"
    request = asked_of(other)
    assert (request.settings.temperature, request.settings.top_p) == (0.9, 0.2)
    assert "Be brief." in request.messages[0].text
    assert "Be kind." not in request.messages[0].text
    assert [each.name for each in request.tools] == ["clock", "stars"]
    assert (await mind.run("Why?")).output == "own"
    assert [each.name for each in asked_of(own).tools] == ["clock"]


async def test_a_runs_tool_replaces_one_of_the_same_name() -> None:
    def clock() -> str:
        """Return the time."""
        return "noon"

    def other() -> str:
        """Return another time."""
        return "night"

    other.__name__ = "clock"
    model = ScriptedModel(["it is"])
    await Contemplator(model, mode="instant", tools=[clock]).run("Why?", tools=[other])
    assert [each.description for each in asked_of(model).tools] == ["Return another time."]


async def test_a_run_may_have_another_output_type() -> None:
    mind = Contemplator(ScriptedModel(['{"genuine": true}', "it is"]), mode="instant")
    typed = await mind.run("Is it?", output_type=Verdict)
    assert typed.output.genuine
    assert (await mind.run("Is it?")).output == "it is"


async def test_labels_are_added_and_both_listeners_hear(tmp_path: Any) -> None:
    heard: list[Event] = []
    also: list[Event] = []
    mind = Contemplator(
        ScriptedModel(["yes"]), mode="instant", on_event=heard.append, journal="memory:", labels={"team": "a", "n": 1}
    )
    result = await mind.run("Is it?", on_event=also.append, labels={"n": 2})
    assert heard == also
    assert heard
    assert mind.journal is not None
    record = mind.journal.load(result.run_id)
    assert record is not None
    assert record.labels == {"team": "a", "n": 2}


async def test_a_stream_and_an_estimate_take_them_too() -> None:
    own, other = ScriptedModel(["own"], name="own"), ScriptedModel(["other"], name="other")
    mind = Contemplator(own, mode="instant")
    async with mind.stream("Why?", model=other) as run:
        async for _ in run:
            pass
    assert run.result.output == "other"
    limited = mind.estimate("Why?", settings=ModelSettings(max_tokens=7))
    assert limited.output_tokens.high == 7


async def test_a_runs_seed_is_nearer_than_the_contemplators() -> None:
    model = ScriptedModel(["a", "a", "a", "a", "a", "a"])
    mind = Contemplator(model, mode="vote", seed=1)
    await mind.run("Why?", settings=ModelSettings(seed=5))
    chosen = {each.settings.seed for each in model.requests}
    model.requests.clear()
    await Contemplator(model, mode="vote", seed=5).run("Why?")
    assert {each.settings.seed for each in model.requests} == chosen


async def test_wrong_options_are_named() -> None:
    async def agent(task: Task, ctx: TaskContext) -> Answer:
        return Answer("x")

    mind = Contemplator(ScriptedModel([]), mode="instant")
    with pytest.raises(TypeError, match=r"Contemplator: got an unexpected keyword argument 'modell'.*model"):
        await mind.run("Why?", modell="x")  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="settings"):
        await mind.run("Why?", settings={"temperature": 1})  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="agent= replaces"):
        await Contemplator(ScriptedModel([]), agent=agent).run("Why?", instructions="Be brief.")
    with pytest.raises(ConfigurationError, match=r"labels are not JSON: .*\(give what JSON can say\)"):
        await mind.run("Why?", labels={"a": object()})  # type: ignore[dict-item]


async def test_a_name_is_one_model_for_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    mind = Contemplator(ScriptedModel(["x"]), mode="instant")
    assert mind._resolved("openai:gpt-5") is mind._resolved("openai:gpt-5")


async def test_a_run_may_have_another_mode_than_the_contemplator() -> None:
    model = ScriptedModel("Answer: 5")
    mind = Contemplator(model, mode="vote", instructions="Be brief.")
    assert (await mind.run("Why?", mode="instant")).usage.calls == 1
    assert "Be brief." in asked_of(model).messages[0].text
    assert (await mind.run("Why?")).usage.calls > 1

    async def never(question: str, results: object, ctx: object) -> str:
        raise AssertionError

    own: Contemplator[str] = Contemplator(model, aggregator=never)
    assert (await own.run("Why?", mode="thinking")).text == "Answer: 5"
    with pytest.raises(ConfigurationError, match="mode='deep'"):
        await mind.run("Why?", mode="deep")  # type: ignore[call-overload]
