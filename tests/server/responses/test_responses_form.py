"""The form of responses and events: OpenAI's own types, strictly, and Open Responses'."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contemplate import Contemplator, ImagePart, Limits, Message, Usage, aggregators, planners
from contemplate.models import Delta, ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel

from ..test_server_clients import StepByStep
from .conftest import MERGED, PLAN, expert, instant, text_of, types

KEYS = {
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model", "previous_response_id"),
    *("instructions", "output", "error", "tools", "tool_choice", "truncation", "parallel_tool_calls", "text", "top_p"),
    *("presence_penalty", "frequency_penalty", "top_logprobs", "temperature", "reasoning", "usage"),
    *("max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata", "safety_identifier"),
    "prompt_cache_key",
}
NUMBERS = ("presence_penalty", "frequency_penalty", "top_logprobs", "temperature", "top_p")
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}


def test_a_response_has_every_field(raw: Any) -> None:
    response = raw({"m": Contemplator(ScriptedModel(expert))}).post(metadata={"a": "b"}, user="me")
    assert len(KEYS) == 31
    assert set(response) == KEYS | {"user"}
    assert all(response[name] is not None for name in NUMBERS)
    assert response["metadata"] == {"a": "b"}
    assert [each["type"] for each in response["output"]] == ["reasoning", "message"]
    assert "Cost: planned" in response["output"][0]["summary"][0]["text"]
    assert response["output"][1]["phase"] == "final_answer"
    assert text_of(response) == MERGED
    assert response["status"] == "completed"


def test_the_order_of_events(raw: Any) -> None:
    events = raw({"m": Contemplator(ScriptedModel(expert))}).stream()
    assert types(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert len({each["response"]["id"] for each in events if "response" in each}) == 1
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert done == events[-1]["response"]["output"]
    assert all(each["logprobs"] == [] for each in events if "output_text" in each["type"])
    assert "".join(each["delta"] for each in events if each["type"] == "response.output_text.delta") == MERGED


def test_open_responses_types(raw: Any) -> None:
    from openresponses_types import types as theirs

    api = raw({"m": Contemplator(ScriptedModel(expert))})
    kinds = [each for name, each in vars(theirs).items() if name.endswith("StreamingEvent")]
    by_type = {str(next(iter(_values(each)))): each for each in kinds}
    for event in api.stream(tools=[TOOL]):
        by_type[event["type"]].model_validate(event)
    theirs.ResponseResource.model_validate(api.post(tools=[TOOL], reasoning={"effort": "low", "summary": "auto"}))


def _values(kind: Any) -> Any:
    annotation = kind.model_fields["type"].annotation
    return [each.value for each in annotation] if hasattr(annotation, "__members__") else annotation.__args__


def test_what_was_asked_is_said_again(raw: Any) -> None:
    asked = {
        "tools": [TOOL, {"type": "web_search"}],
        "tool_choice": "none",
        "temperature": 0.5,
        "top_p": 0,
        "max_output_tokens": 77,
        "max_tool_calls": 3,
        "parallel_tool_calls": False,
        "instructions": "Be brief.",
        "truncation": "auto",
        "reasoning": {"effort": "high", "summary": "auto"},
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "store": False,
    }
    response = raw(instant(ScriptedModel("yes"))).post(**asked)
    assert response["tools"] == [TOOL | {"description": None}]
    assert {name: response[name] for name in asked if name != "tools"} == {
        name: each for name, each in asked.items() if name != "tools"
    }


def test_usage_has_details(raw: Any) -> None:
    usage = raw(instant(ScriptedModel("yes"))).post()["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert usage["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}


def test_reasoning_may_be_sent_back(raw: Any) -> None:
    api = raw({"m": Contemplator(ScriptedModel(expert))})
    first = api.post(include=["reasoning.encrypted_content"], store=False)
    assert first["output"][0]["encrypted_content"]
    said = [{"role": "user", "content": "Why?"}, *first["output"], {"role": "user", "content": "And?"}]
    assert text_of(api.post(input=said)) == MERGED


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
def test_an_answer_in_json(raw: Any, kind: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = {"type": kind} | ({"name": "x", "schema": schema, "strict": True} if kind == "json_schema" else {})
    api = raw(instant(ScriptedModel('Sure: ```json\n{"a": 1}\n```')))
    response = api.post(text={"format": wanted})
    assert json.loads(text_of(response)) == {"a": 1}
    assert response["text"]["format"]["type"] == kind
    deltas = [each["delta"] for each in api.stream(text={"format": wanted}) if each["type"].endswith("text.delta")]
    assert json.loads("".join(deltas)) == {"a": 1}


def test_what_is_no_schema_is_refused(raw: Any) -> None:
    wanted = {"type": "json_schema", "name": "x", "schema": {"type": "strange"}}
    error = raw(instant(ScriptedModel("x"))).refused(text={"format": wanted})
    assert (error["status"], error["param"]) == (400, "text.format.schema")


def test_images_of_the_answer(raw: Any) -> None:
    class Painter:
        name = "painter"

        async def request(self, request: ModelRequest, on_delta: Any = None) -> ModelResponse:
            answer = await ScriptedModel("Here").request(request, on_delta)
            message = answer.message.model_copy(
                update={"parts": (*answer.message.parts, ImagePart(data=b"\x89PNG..."))}
            )
            return answer.model_copy(update={"message": message})

    response = raw(instant(Painter())).post()
    assert [each["type"] for each in response["output"]] == ["message", "image_generation_call"]
    assert response["output"][1]["result"] == "iVBORy4uLg=="


def test_what_the_client_cut_is_incomplete(raw: Any) -> None:
    cut = ModelResponse(message=Message.assistant("a b c"), finish="length", usage=Usage(calls=1), model="x")
    api = raw(instant(ScriptedModel(lambda _: cut)))
    response = api.post(max_output_tokens=3)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert response["output"][-1]["status"] == "incomplete"
    assert api.stream(max_output_tokens=3)[-1]["type"] == "response.incomplete"


def test_what_a_limit_of_ours_cut_is_completed_and_marked(raw: Any) -> None:
    mind = Contemplator(
        ScriptedModel(lambda request: PLAN if request.output_schema is not None else "x"),
        planner=planners.model(),
        aggregator=aggregators.synthesize(),
        limits=Limits(calls=3),
    )
    api = raw({"m": mind})
    response = api.post(max_output_tokens=1000)
    assert response["status"] == "completed"
    assert response["metadata"] == {"contemplate:stopped_by": "calls"}
    assert text_of(response).endswith("(cut short by Limits.calls)")
    assert api.stream()[-1]["type"] == "response.completed"


def test_an_answer_that_begins_anew_takes_its_beginning_back(raw: Any) -> None:
    model = StepByStep(["Perhaps ", "it ", Delta("No, ", restart=True), "it rains."])
    events = raw(instant(model, stream=True)).stream()
    final = events[-1]["response"]
    assert text_of(final) == "No, it rains."
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert [(each["status"], each["phase"]) for each in done] == [
        ("incomplete", "commentary"),
        ("completed", "final_answer"),
    ]
