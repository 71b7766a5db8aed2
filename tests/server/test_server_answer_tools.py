"""Tools by which clients take the answer: whoever merges calls them, and none of the parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contemplate import Contemplator
from contemplate.errors import ConfigurationError
from contemplate.models import ModelRequest
from contemplate.modes import Mode
from contemplate.server import create_app
from contemplate.testing import ScriptedModel

from .conftest import Serve, serving_app
from .test_server_tools import TOOLS, Chat, calls, cities, told

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PLAN = '{"tasks":[{"title":"a","prompt":"a?","needs":[]},{"title":"b","prompt":"b?","needs":[]}]}'
ROME = json.dumps({"city": "Rome"})


def taking(name: str = "StructuredOutput") -> Any:
    return {"type": "function", "function": {"name": name, "description": "Return the answer.", "parameters": CITY}}


def experts(request: ModelRequest) -> Any:
    """Plans two parts, of which each asks for the weather, and gives the answer in its form."""
    schema = {} if request.output_schema is None else request.output_schema.schema
    properties: Any = schema.get("properties", {})
    if "tasks" in properties:
        return PLAN
    if "step" in properties:
        return json.dumps({"step": {"tool": "final_result_City", "arguments": {"city": "Rome"}}})
    if "city" in properties:
        return ROME
    if any(each.name == "weather" for each in request.tools) and not told(request):
        return calls("Oslo")
    return "A finding."


@pytest.mark.parametrize("stream", [False, True])
def test_who_merges_calls_it_and_none_of_the_parts(serve: Serve, stream: bool) -> None:
    model = ScriptedModel(experts)
    chat = Chat(serve({"m": Contemplator(model)}), stream=stream, tools=[*TOOLS, taking()])
    waiting = chat.ask().tool_calls or []
    assert [each.function.name for each in waiting if each.type == "function"] == ["weather"] * 2
    for each in waiting:
        chat.give(each.id, "snow")
    answer = chat.ask()
    assert not answer.content
    (call,) = answer.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, list(cities(answer))) == ("StructuredOutput", ["Rome"])
    assert not any(tool.name == "StructuredOutput" for each in model.requests for tool in each.tools)
    assert len(model.requests) == 6, "something was asked twice"


def test_when_the_answer_was_taken_one_call_is_left(serve: Serve) -> None:
    model = ScriptedModel(experts)
    chat = Chat(serve({"m": Contemplator(model)}), tools=[taking()])
    chat.give(cities(chat.ask())["Rome"], "Structured output provided successfully")
    before = len(model.requests)
    assert chat.ask().content == "A finding."
    assert len(model.requests) == before + 1
    chat.messages.append({"role": "user", "content": "And again?"})
    assert list(cities(chat.ask())) == ["Rome"]


@pytest.mark.parametrize("mode", ["vote", "council", "refine", "instant"])
def test_so_it_is_in_every_mode(serve: Serve, mode: Mode) -> None:
    chat = Chat(serve({"m": Contemplator(ScriptedModel(experts), mode=mode)}), tools=[taking("final_answer")])
    assert list(cities(chat.ask())) == ["Rome"]


def test_one_of_several_is_chosen(serve: Serve) -> None:
    tools = [taking("final_result_City"), taking("final_result_Town")]
    chat = Chat(serve({"m": Contemplator(ScriptedModel(experts))}), tools=tools)
    (call,) = chat.ask().tool_calls or []
    assert call.type == "function"
    assert call.function.name == "final_result_City"


def test_which_these_are_is_configured() -> None:
    for names, offered in [(("report_*",), "report_city"), ((), "StructuredOutput")]:
        model = ScriptedModel(experts)
        with serving_app(create_app({"m": Contemplator(model, mode="instant")}, answer_tools=names)) as url:
            Chat(url, tools=[taking(offered)]).ask()
        assert (model.requests[0].output_schema is not None) == bool(names)
    with pytest.raises(ConfigurationError, match="answer_tools"):
        create_app({"m": Contemplator(ScriptedModel([]))}, answer_tools="final")  # type: ignore[arg-type]
