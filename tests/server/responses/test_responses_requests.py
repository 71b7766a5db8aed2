"""What a request may hold, and what a contemplator is asked by it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from .conftest import instant, text_of

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
URL = f"data:image/png;base64,{PIXEL}"


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel("yes")


def roles(request: ModelRequest) -> list[tuple[str, str]]:
    return [(each.role, each.text) for each in request.messages]


def test_a_text_is_a_question(raw: Any, model: ScriptedModel) -> None:
    assert text_of(raw(instant(model)).post(input="Why?", instructions="Be brief.")) == "yes"
    assert "Be brief." in model.requests[0].messages[0].text
    assert model.requests[0].messages[-1].text == "Why?"


def test_a_conversation(raw: Any, model: ScriptedModel) -> None:
    said = [
        {"role": "developer", "content": "Speak like a pirate."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Ahoy", "annotations": [{"a": 1}]}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "user", "content": "And now?"},
    ]
    raw(instant(model)).post(input=said)
    *before, system = roles(model.requests[0])[1:], roles(model.requests[0])[0][1]
    assert before[0] == [("user", "Hi"), ("assistant", "Ahoy"), ("user", "And now?")]
    assert "pirate" in system


def test_images(raw: Any, model: ScriptedModel) -> None:
    parts = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": URL, "detail": "high"}]
    raw(instant(model)).post(input=[{"role": "user", "content": parts}])
    assert [each.as_url() for each in model.requests[0].messages[-1].images] == [URL]


def test_calls_and_their_outputs_are_history(raw: Any, model: ScriptedModel) -> None:
    said = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{}", "id": None, "status": None},
        {"type": "function_call", "call_id": "b", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "rain"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "sun"}]},
        {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
    ]
    tools = [{"type": "function", "name": name} for name in ("look", "patch")]
    raw(instant(model)).post(input=said, tools=tools)
    messages = model.requests[0].messages
    called = [[call.id for call in each.tool_calls] for each in messages if each.tool_calls]
    assert called == [["a", "b"], ["c"]]
    assert [each.text for each in messages if each.role == "tool"] == ["rain", "sun", "done"]


def test_settings_reach_the_answer(raw: Any, model: ScriptedModel) -> None:
    raw(instant(model)).post(temperature=0.25, top_p=0.5, max_output_tokens=99)
    said = model.requests[0].settings
    assert (said.temperature, said.top_p, said.max_tokens) == (0.25, 0.5, 99)


def test_what_is_not_known_is_ignored(raw: Any, model: ScriptedModel) -> None:
    odd = {
        "service_tier": "flex",
        "prompt_cache_retention": "24h",
        "stream_options": {"include_obfuscation": False},
        "client_metadata": {"a": "b"},
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "colossal", "summary": "none"},
        "tool_choice": {"type": "web_search"},
        "tools": [{"type": "web_search"}, {"type": "custom", "name": "patch"}],
        "include": ["web_search_call.action.sources"],
        "metadata": None,
        "store": None,
    }
    response = raw(instant(model)).post(**odd)
    assert (response["tools"], response["tool_choice"], response["store"]) == ([], "auto", True)
    assert response["reasoning"] == {"effort": None, "summary": None}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": []}, "input"),
        ({"input": "  "}, "input"),
        ({"input": [{"role": "assistant", "content": "Hi"}]}, "input"),
        ({"input": [{"role": "critic", "content": "Hi"}]}, "input[0].message.role"),
        ({"input": [{"type": "interpretive_dance"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]}]}, "input[0]"),
        ({"input": [{"type": "function_call", "call_id": "a", "name": "x", "arguments": "{}"}]}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_0"}]}, "input[0]"),
        ({"tools": [{"type": "function", "name": "no name"}]}, "tools"),
        ({"tool_choice": {"type": "function", "name": "absent"}}, "tool_choice"),
        ({"temperature": 3}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True, "store": False}, "background"),
        ({"previous_response_id": "resp_0"}, "previous_response_id"),
        ({"previous_response_id": "resp_0", "conversation": "conv_0"}, "conversation"),
    ],
)
def test_what_cannot_be_is_refused(raw: Any, model: ScriptedModel, body: Any, param: str) -> None:
    error = raw(instant(model)).refused(**body)
    assert (error["status"], error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert not model.requests


def test_a_model_that_is_not_there(raw: Any, model: ScriptedModel) -> None:
    assert raw(instant(model)).refused(model="other")["code"] == "model_not_found"
