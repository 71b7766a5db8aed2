"""The client's own tools in Anthropic's Messages: calls go out, results come back, and the run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from contemplate import Contemplator, Message
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import Minds, Serve
from .messages_client import events_of, message_of, post, texts
from .test_server_clients import instant

if TYPE_CHECKING:
    import anthropic
    from anthropic.types import MessageParam, ToolParam

WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
QUESTION: list[MessageParam] = [{"role": "user", "content": "Is it warmer in Oslo or in Rome?"}]
BODY: dict[str, Any] = {"model": "m", "max_tokens": 500, "messages": QUESTION, "tools": [WEATHER]}
PLAN = '{"tasks":[{"title":"Oslo","prompt":"Oslo?","needs":[]},{"title":"Rome","prompt":"Rome?","needs":[]}]}'
PICTURE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


def call(city: str) -> Message:
    said = ToolCall(id=f"of-{city}", name="weather", arguments=json.dumps({"city": city}))
    return Message.assistant(f"I ask for {city}.", (said,))


def forecaster(request: ModelRequest) -> str | Message:
    """Plans a part for each city; each part asks for the weather."""
    if request.output_schema is not None:
        return PLAN
    asked = request.messages[-1].text
    if "Now answer the whole question" in asked:
        return "In Rome."
    results = [each.text for each in request.messages if each.role == "tool"]
    return f"There are {results[-1]}." if results else call("Oslo" if "Oslo?" in asked else "Rome")


@pytest.fixture
def client(serve: Serve) -> Iterator[Any]:
    """Makes a client of contemplators."""
    clients: list[anthropic.Anthropic] = []

    def connect(minds: Minds) -> anthropic.Anthropic:
        import anthropic

        made = anthropic.Anthropic(base_url=serve(minds), api_key="none", timeout=PATIENCE)
        clients.append(made)
        return made

    yield connect
    for each in clients:
        each.close()


def results(message: Any, **degrees: str) -> Any:
    """The results of all calls of a message, by city."""
    calls = [each for each in message.content if each.type == "tool_use"]
    content = [
        {"type": "tool_result", "tool_use_id": each.id, "content": degrees[each.input["city"]]} for each in calls
    ]
    return {"role": "user", "content": content}


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_several_subagents_go_out_at_once_and_the_run_goes_on(client: Any, stream: bool) -> None:
    model = ScriptedModel(forecaster)
    api = client({"m": Contemplator(model)})

    def ask(messages: list[MessageParam]) -> Any:
        if not stream:
            return api.messages.create(**BODY | {"messages": messages}, thinking={"type": "adaptive"})
        with api.messages.stream(**BODY | {"messages": messages}, thinking={"type": "adaptive"}) as reply:
            return reply.get_final_message()

    first = ask(QUESTION)
    assert first.stop_reason == "tool_use"
    thought, *calls = first.content
    assert "Oslo: uses weather" in thought.thinking
    assert {(each.type, each.name, each.input["city"]) for each in calls} == {
        ("tool_use", "weather", "Oslo"),
        ("tool_use", "weather", "Rome"),
    }
    made = len(model.requests)
    back: MessageParam = {"role": "assistant", "content": first.content}
    last = ask([*QUESTION, back, results(first, Oslo="3 degrees", Rome="19 degrees")])
    assert (last.stop_reason, last.content[-1].text) == ("end_turn", "In Rome.")
    assert last.id != first.id
    assert "Planning" not in last.content[0].thinking, "what was told before is told again"
    assert len(model.requests) == made + 3, "the run began anew"


def test_a_call_is_streamed_after_what_was_said_before_it(serve: Serve) -> None:
    url = serve(instant(ScriptedModel([call("Oslo"), "Cold."])))
    events = events_of(post(url, BODY | {"stream": True}))
    blocks = [each.content_block for each in events if each.type == "content_block_start"]
    assert [each.type for each in blocks] == ["text", "tool_use"]
    assert (texts(events), blocks[1].input) == ("I ask for Oslo.", {})
    pieces = [each.delta.partial_json for each in events if each.type == "content_block_delta" and each.index == 1]
    assert json.loads("".join(pieces)) == {"city": "Oslo"}
    assert events[-2].delta.stop_reason == "tool_use"
    whole = message_of(post(serve(instant(ScriptedModel([call("Oslo")]))), BODY))
    assert [each.type for each in whole.content] == ["text", "tool_use"]


def test_one_call_at_a_time(client: Any) -> None:
    model = ScriptedModel(forecaster)
    api = client({"m": Contemplator(model)})
    messages, seen = list(QUESTION), []
    while True:
        choice = {"type": "auto", "disable_parallel_tool_use": True}
        message = api.messages.create(**BODY | {"messages": messages}, tool_choice=choice)
        # However few calls a step takes, the conversation is as long as it is.
        counted = api.messages.count_tokens(model="m", messages=messages, tools=[WEATHER])
        assert message.usage.input_tokens == counted.input_tokens
        calls = [each for each in message.content if each.type == "tool_use"]
        if not calls:
            break
        assert len(calls) == 1
        seen.append(calls[0].input["city"])
        messages += [{"role": "assistant", "content": message.content}, results(message, Oslo="3", Rome="19")]
    assert (sorted(seen), message.content[0].text) == (["Oslo", "Rome"], "In Rome.")


def test_what_is_said_beside_a_result_reaches_the_model(client: Any) -> None:
    model = ScriptedModel([call("Oslo"), "Cold."])
    api = client(instant(model))
    first = api.messages.create(**BODY)
    back = results(first, Oslo="3 degrees")
    back["content"].append({"type": "text", "text": "Be quick."})
    note = {"role": "system", "content": "The user is in a hurry."}
    later = [*QUESTION, {"role": "assistant", "content": first.content}, back, note]
    assert api.messages.create(**BODY | {"messages": later}).content[0].text == "Cold."
    told = model.requests[-1].messages[-1]
    assert (told.role, told.text) == ("tool", "3 degrees\n\nBe quick.\n\nThe user is in a hurry.")


@pytest.mark.parametrize("known", [True, False])
def test_a_call_that_failed(client: Any, known: bool) -> None:
    model = ScriptedModel([call("Oslo"), "No idea."])
    api = client(instant(model))
    first = api.messages.create(**BODY)
    if not known:
        api = client(instant(model))
    (made,) = (each for each in first.content if each.type == "tool_use")
    failed = {"type": "tool_result", "tool_use_id": made.id, "content": "no such city", "is_error": True}
    later = [*QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": [failed]}]
    assert api.messages.create(**BODY | {"messages": later}).content[-1].text == "No idea."
    shown = "\n".join(each.text for each in model.requests[-1].messages)
    assert "The tool failed. ToolError: no such city" in shown


def test_an_image_that_a_tool_returned_is_seen(client: Any) -> None:
    model = ScriptedModel([call("Oslo"), "Snow."])
    api = client(instant(model))
    first = api.messages.create(**BODY)
    (made,) = (each for each in first.content if each.type == "tool_use")
    content = [{"type": "text", "text": "a photo"}, {"type": "image", "source": PICTURE}]
    shown = {"type": "tool_result", "tool_use_id": made.id, "content": content}
    later = [*QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": [shown]}]
    assert api.messages.create(**BODY | {"messages": later}).content[-1].text == "Snow."
    said = model.requests[-1].messages
    assert [each.as_url() for message in said if message.role == "user" for each in message.images] == [
        "data:image/png;base64,iVBORw0KGgo="
    ]


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
def test_a_call_may_be_demanded(client: Any, choice: dict[str, str]) -> None:
    api = client(instant(ScriptedModel('{"city": "Oslo"}')))
    message = api.messages.create(**BODY, tool_choice=choice)
    assert message.stop_reason == "tool_use"
    assert [(each.type, each.name, each.input) for each in message.content] == [
        ("tool_use", "weather", {"city": "Oslo"})
    ]


def test_no_tool_is_called_where_none_may_be(client: Any) -> None:
    model = ScriptedModel("Rome, I guess.")
    message = client(instant(model)).messages.create(**BODY, tool_choice={"type": "none"})
    assert message.content[0].text == "Rome, I guess."
    assert model.requests[0].tools == ()


def test_the_official_clients_loop(client: Any) -> None:
    import anthropic

    api = client({"m": Contemplator(ScriptedModel(forecaster))})

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather in a city.

        Args:
            city: which one.
        """
        return {"Oslo": "3 degrees", "Rome": "19 degrees"}[city]

    runner = api.beta.messages.tool_runner(model="m", max_tokens=500, messages=QUESTION, tools=[weather])
    assert runner.until_done().content[-1].text == "In Rome."


LONG = "mcp__" + "a" * 100 + "__weather"


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "tool", "name": LONG}])
def test_long_names_go_to_models_in_short(serve: Serve, choice: Any) -> None:
    def script(request: ModelRequest) -> str | Message:
        if request.output_schema is not None:
            return '{"city": "Oslo"}'
        results = [each.text for each in request.messages if each.role == "tool"]
        said = ToolCall(id="c", name=request.tools[0].name, arguments='{"city": "Oslo"}')
        return results[-1] if results else Message.assistant("", (said,))

    model = ScriptedModel(script)
    url = serve(instant(model))
    body = BODY | {"tools": [{**WEATHER, "name": LONG}]}
    content: list[Any] = message_of(post(url, body | {"tool_choice": choice})).content
    (use,) = content
    assert (use.type, use.name) == ("tool_use", LONG)
    said = [{"role": "assistant", "content": [use.model_dump(exclude_none=True)]}]
    said += [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "cold"}]}]
    answer = message_of(post(url, body | {"messages": [*QUESTION, *said]}))
    assert answer.content[0].text == "cold"  # type: ignore[union-attr]
    named = [tool.name for request in model.requests for tool in request.tools]
    named += [each.name for request in model.requests for message in request.messages for each in message.tool_calls]
    assert {len(each) for each in named} == {64}


def test_a_name_that_is_too_long_is_refused(serve: Serve) -> None:
    refused = post(serve(instant(ScriptedModel([]))), BODY | {"tools": [{**WEATHER, "name": "a" * 129}]})
    assert refused.status_code == 400


def test_where_subagents_answer_the_same_question_one_call_goes_out(serve: Serve) -> None:
    def script(request: ModelRequest) -> str:
        return json.dumps({"step": {"tool": "weather", "arguments": {"city": "Oslo"}}})

    answer = message_of(post(serve({"m": Contemplator(ScriptedModel(script), mode="vote")}), BODY))
    assert [each.type for each in answer.content] == ["tool_use"]
