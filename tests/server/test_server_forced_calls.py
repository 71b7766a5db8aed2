"""Calls that a client asks for, and calls where several subagents answer the same question."""

from __future__ import annotations

import json
import threading
from typing import Any

import openai
import pytest
from jsonschema import Draft202012Validator

from contemplate import Agent, Contemplator, Limits, planners, tool
from contemplate.aggregators import first
from contemplate.models import ModelRequest
from contemplate.modes import Mode
from contemplate.server.forced_call import forced_call
from contemplate.testing import ScriptedModel

from .conftest import Serve
from .test_server_clients import StepByStep
from .test_server_tools import TOOLS, Chat, calls, cities, told

STOP = {"type": "function", "function": {"name": "stop"}}
ROME = json.dumps({"city": "Rome"})


def step(**said: Any) -> str:
    return json.dumps({"step": said})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_forced_call_is_the_answer(serve: Serve, stream: bool, choice: Any) -> None:
    model = ScriptedModel([ROME])
    chat = Chat(serve({"m": Contemplator(model, mode="instant")}), stream=stream, tool_choice=choice)
    message = chat.ask()
    assert list(cities(message)) == ["Rome"]
    assert not message.content
    (request,) = model.requests
    assert request.tools == ()
    assert request.output_schema is not None
    assert request.output_schema.schema["properties"] == {"city": {"type": "string"}}


def test_arguments_of_a_forced_call_are_checked_and_repaired(serve: Serve) -> None:
    model = ScriptedModel(['{"city": 7}', ROME])
    chat = Chat(serve({"m": Contemplator(model, mode="instant")}), tool_choice="required")
    assert list(cities(chat.ask())) == ["Rome"]


@pytest.mark.parametrize("mode", ["instant", "contemplating", "vote", "council", "refine"])
def test_one_of_several_tools_is_called_in_every_mode(serve: Serve, mode: Mode) -> None:
    def script(request: ModelRequest) -> str:
        if request.output_schema is None:
            return "It is about Rome."
        schema = request.output_schema.schema
        if "step" not in schema.get("properties", {}):  # type: ignore[operator]
            return '{"tasks":[{"title":"a","prompt":"a?","needs":[]},{"title":"b","prompt":"b?","needs":[]}]}'
        return step(tool="weather", arguments={"city": "Rome"})

    mind = Contemplator(ScriptedModel(script), mode=mode)
    chat = Chat(serve({"m": mind}), tools=[*TOOLS, STOP], tool_choice="required")
    assert list(cities(chat.ask())) == ["Rome"]


def test_no_tool_may_be_called(serve: Serve) -> None:
    model = ScriptedModel(["No."])
    chat = Chat(serve({"m": Contemplator(model, mode="instant")}), tool_choice="none")
    assert chat.ask().content == "No."
    assert model.requests[0].tools == ()


def test_a_tool_that_is_not_there_cannot_be_forced(serve: Serve) -> None:
    chat = Chat(
        serve({"m": Contemplator(ScriptedModel([]), mode="instant")}),
        tool_choice={"type": "function", "function": {"name": "fly"}},
    )
    with pytest.raises(openai.BadRequestError, match="'fly', but the tools are: weather") as caught:
        chat.ask()
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["vote", "council", "refine"])
def test_where_several_answer_the_same_they_propose_the_next_step(serve: Serve, mode: Mode, stream: bool) -> None:
    def script(request: ModelRequest) -> str:
        assert request.tools == ()
        said = "\n".join(each.text for each in request.messages)
        sunny = "sun in Rome" in said
        return step(answer="Sunny.") if sunny else step(tool="weather", arguments={"city": "Rome"})

    chat = Chat(serve({"m": Contemplator(ScriptedModel(script), mode=mode)}), stream=stream)
    message = chat.ask()
    assert list(cities(message)) == ["Rome"]
    chat.give(cities(message)["Rome"], "sun in Rome")
    assert chat.ask().content == "Sunny."


def test_steps_and_a_schema_of_the_answer_do_not_go_together(serve: Serve) -> None:
    chat = Chat(serve({"m": Contemplator(ScriptedModel([]), mode="vote")}), response_format={"type": "json_object"})
    with pytest.raises(openai.BadRequestError, match="cannot have both") as caught:
        chat.ask()
    assert caught.value.param == "tools"


def test_tools_and_a_schema_of_the_answer(serve: Serve) -> None:
    model = ScriptedModel([calls("Rome"), '{"sunny": true}'])
    schema = {"type": "object", "properties": {"sunny": {"type": "boolean"}}, "required": ["sunny"]}
    format_ = {"type": "json_schema", "json_schema": {"name": "sky", "schema": schema}}
    chat = Chat(serve({"m": Contemplator(model, mode="instant")}), response_format=format_)
    chat.give(cities(chat.ask())["Rome"], "sun")
    assert json.loads(chat.ask().content or "") == {"sunny": True}
    assert told(model.requests[-1]) == ["sun"]


def test_a_limit_before_there_is_a_call_is_an_error(serve: Serve) -> None:
    mind = Contemplator(StepByStep(['{"ci', threading.Event()]), mode="instant", limits=Limits(seconds=0.2))
    with pytest.raises(openai.InternalServerError) as caught:
        Chat(serve({"m": mind}), tool_choice="required").ask()
    assert caught.value.code != "internal_error"


def test_tools_of_the_contemplators_own_are_its_users_to_mend(serve: Serve) -> None:
    @tool(side_effects=True)
    def pay() -> str:
        """Pay."""
        return "paid"

    mind = Contemplator(ScriptedModel([]), mode="vote", tools=[pay])
    for tools in (TOOLS, []):
        with pytest.raises(openai.InternalServerError, match="pay: a tool with side effects") as caught:
            Chat(serve({"m": mind}), tools=tools).ask()
        assert caught.value.status_code == 500


def test_an_agent_of_ones_own_takes_no_tools_and_says_so(serve: Serve) -> None:
    mind = Contemplator(ScriptedModel([]), planner=planners.direct(), aggregator=first(), agent=Agent())
    with pytest.raises(openai.BadRequestError, match="the model 'm' takes none") as caught:
        Chat(serve({"m": mind})).ask()
    assert caught.value.param == "tools"


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([TOOLS[0], TOOLS[0]], "tools[1].function.name"),
        ([{"type": "function", "function": {"name": "a b"}}], "tools[0].function"),
        ([{"type": "function", "function": {"name": "a", "parameters": {"type": "string"}}}], "tools[0].function"),
        ([{"type": "custom", "custom": {"name": "a"}}], "tools[0].type"),
    ],
)
def test_a_tool_that_cannot_be_one_is_named(serve: Serve, tools: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        Chat(serve({"m": Contemplator(ScriptedModel([]), mode="instant")}), tools=tools).ask()
    assert caught.value.param == param


def test_a_long_loop_of_the_clients_tools_is_not_cut_short(serve: Serve) -> None:
    """Unlike one of the contemplator's own, which ends after 8 turns."""
    model = ScriptedModel([*(calls(f"city {number}") for number in range(12)), "Enough."])
    chat = Chat(serve({"m": Contemplator(model, mode="instant")}))
    for number in range(12):
        chat.give(cities(chat.ask())[f"city {number}"], "fine")
    assert chat.ask().content == "Enough."
    assert len(model.requests) == 13


def test_definitions_of_a_tools_schema_are_found_in_that_of_the_step() -> None:
    from contemplate import external_tool
    from contemplate.run.output_type import OutputType
    from contemplate.server.neutral_request import Asked, Question

    def tree(name: str, leaf: str) -> Any:
        node: Any = {"type": "object", "properties": {"leaf": {"type": leaf}, "next": {"$ref": "#/$defs/node"}}}
        schema: Any = {"properties": {"root": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}
        return external_tool(name, "", schema)

    mind = Contemplator(ScriptedModel([]))
    asked = Asked(mind, "m", Question("?"), tools=(tree("a", "string"), tree("b", "integer")), tool_choice="required")
    typed, _ = forced_call(asked)
    schema = OutputType(typed.output_type).json_schema
    check = Draft202012Validator(schema)

    def call(tool: str, leaf: object) -> object:
        return {
            "step": {"tool": tool, "arguments": {"root": {"leaf": "x" if tool == "a" else 1, "next": {"leaf": leaf}}}}
        }

    assert check.is_valid(call("a", "x"))
    assert check.is_valid(call("b", 1))
    assert not check.is_valid(call("a", 1))
    assert not check.is_valid(call("b", "x"))
