"""The client's own tools: their calls go out, and the run goes on with what they returned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from contemplate import Contemplator, Message, tool
from contemplate.journal import Journal
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from .conftest import PLAN, instant, text_of, types

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "weather", "description": "Tells it.", "parameters": PARAMETERS}


def calls(*cities: str, text: str = "") -> Message:
    made = [ToolCall(id=f"c{n}", name="weather", arguments=json.dumps({"city": city})) for n, city in enumerate(cities)]
    return Message.assistant(text, tuple(made))


def weather(request: ModelRequest) -> Message | str:
    said = [each.text for each in request.messages if each.role == "tool"]
    return f"It is {' and '.join(said)}." if said else calls("Oslo", text="I look.")


def outputs(response: Any, *said: str) -> list[Any]:
    made = [each for each in response["output"] if each["type"] == "function_call"]
    return [
        {"type": "function_call_output", "call_id": call["call_id"], "output": text}
        for call, text in zip(made, said, strict=True)
    ]


def test_a_call_goes_out_and_its_output_comes_back(raw: Any) -> None:
    api = raw(instant(model := ScriptedModel(weather)))
    first = api.post(tools=[WEATHER])
    assert [each["type"] for each in first["output"]] == ["message", "reasoning", "function_call"]
    assert first["output"][0]["phase"] == "commentary"
    call = first["output"][-1]
    assert (call["name"], json.loads(call["arguments"]), call["status"]) == ("weather", {"city": "Oslo"}, "completed")
    assert first["status"] == "completed"
    second = api.post(tools=[WEATHER], previous_response_id=first["id"], input=outputs(first, "rain"))
    assert text_of(second) == "It is rain."
    assert len(model.requests) == 2


def test_the_history_may_be_sent_again_instead(raw: Any) -> None:
    api = raw(instant(ScriptedModel(weather)))
    asked = {"role": "user", "content": "Weather?"}
    first = api.post(tools=[WEATHER], store=False, input=[asked])
    second = api.post(tools=[WEATHER], store=False, input=[asked, *first["output"], *outputs(first, "rain")])
    assert text_of(second) == "It is rain."


def test_the_events_of_a_call(raw: Any) -> None:
    events = raw(instant(ScriptedModel(weather), stream=True)).stream(tools=[WEATHER])
    assert types(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    deltas = "".join(each["delta"] for each in events if each["type"].endswith("arguments.delta"))
    assert deltas == events[-1]["response"]["output"][-1]["arguments"]


def test_several_calls_at_once(raw: Any) -> None:
    def both(request: ModelRequest) -> Message | str:
        said = [each.text for each in request.messages if each.role == "tool"]
        return " and ".join(said) if said else calls("Oslo", "Rome")

    api = raw(instant(ScriptedModel(both)))
    first = api.post(tools=[WEATHER])
    assert len({each["call_id"] for each in first["output"] if each["type"] == "function_call"}) == 2
    second = api.post(tools=[WEATHER], previous_response_id=first["id"], input=outputs(first, "rain", "sun"))
    assert text_of(second) == "rain and sun"


def test_calls_of_subagents_go_on_where_they_were(raw: Any) -> None:
    def planned(request: ModelRequest) -> Message | str:
        if request.output_schema is not None:
            return PLAN
        if "Now answer the whole question" in request.messages[-1].text:
            return "All of it."
        return weather(request)

    api = raw({"m": Contemplator(model := ScriptedModel(planned))})
    response, rounds = api.post(tools=[WEATHER]), 0
    while response["output"][-1]["type"] == "function_call":
        rounds += 1
        made = sum(each["type"] == "function_call" for each in response["output"])
        back = outputs(response, *["rain"] * made)
        response = api.post(tools=[WEATHER], previous_response_id=response["id"], input=back)
    assert text_of(response) == "All of it."
    assert rounds >= 1
    assert sum(each.output_schema is not None for each in model.requests) == 1


def test_a_call_is_answered_after_a_restart(raw: Any, tmp_path: Path) -> None:
    model = ScriptedModel(weather)
    journals = [Journal(tmp_path / "runs.db") for _ in range(2)]
    first_api, second_api = (raw(instant(model, journal=each)) for each in journals)
    first = first_api.post(tools=[WEATHER])
    second = second_api.post(tools=[WEATHER], previous_response_id=first["id"], input=outputs(first, "rain"))
    assert second["output"][-1]["content"][0]["text"] == "It is rain."
    assert len(model.requests) == 2
    for each in journals:
        each.close()


def test_a_tool_that_is_to_be_called(raw: Any) -> None:
    api = raw(instant(ScriptedModel('{"city": "Oslo"}')))
    for choice in ("required", {"type": "function", "name": "weather"}):
        response = api.post(tools=[WEATHER], tool_choice=choice)
        assert response["output"][-1]["type"] == "function_call"
        assert response["tool_choice"] == choice
    some = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "other"}]}
    assert not api.post(tools=[WEATHER], tool_choice=some)["tools"]


def test_a_tool_of_the_servers_own_makes_a_commentary(raw: Any) -> None:
    @tool
    def look() -> str:
        """Look."""
        return "rain"

    def looking(request: ModelRequest) -> Message | str:
        if any(each.role == "tool" for each in request.messages):
            return "It rains."
        return Message.assistant("I look.", (ToolCall(id="a", name="look", arguments="{}"),))

    events = raw(instant(ScriptedModel(looking), tools=[look], stream=True)).stream()
    output = events[-1]["response"]["output"]
    said = [(each["type"], each.get("phase")) for each in output]
    assert said == [("message", "commentary"), ("reasoning", None), ("message", "final_answer")]
    assert [each["content"][0]["text"] for each in output if each["type"] == "message"] == ["I look.", "It rains."]


class City(BaseModel):
    name: str


def test_the_client_parses_and_streams(client: Any) -> None:
    api = client(instant(ScriptedModel('{"name": "Oslo"}')))
    assert api.responses.parse(model="m", input="Where?", text_format=City).output_parsed == City(name="Oslo")
    with api.responses.stream(model="m", input="Where?", text_format=City) as stream:
        assert stream.get_final_response().output_parsed == City(name="Oslo")


@pytest.mark.parametrize("data", ["text", "binary"])
def test_files(raw: Any, data: str) -> None:
    sent = "aGVsbG8=" if data == "text" else "data:application/pdf;base64,JVBERv8="
    parts = [
        {"type": "input_text", "text": "What?"},
        {"type": "input_file", "filename": "a.txt", "file_data": sent},
    ]
    raw(instant(model := ScriptedModel("yes"))).post(input=[{"role": "user", "content": parts}])
    asked = model.requests[0].messages[-1].text
    assert ("a.txt:\nhello" if data == "text" else "[file a.txt, which cannot be read here]") in asked
