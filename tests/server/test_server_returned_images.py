"""Images in what a client's tools returned: the run that waits goes on, and its model sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from contemplate import Contemplator, Message
from contemplate.messages import ToolCall
from contemplate.models import ModelRequest
from contemplate.testing import ScriptedModel

from ..patience import PATIENCE
from .conftest import serving

DATA = "iVBORw0KGgo="
IMAGE = f"data:image/png;base64,{DATA}"
CALL = Message.assistant("", (ToolCall(id="c", name="screenshot", arguments="{}"),))
SCHEMA: Any = {"type": "object", "properties": {}}
QUESTION = {"role": "user", "content": "What is on the screen?"}


def looking(request: ModelRequest) -> Message | str:
    """Asks for a screenshot, and says what it sees."""
    seen = [image.as_url() for message in request.messages if message.role == "user" for image in message.images]
    said = [message.text for message in request.messages if message.role == "tool"]
    return f"{said}, {seen}" if said else CALL


def post(url: str, path: str, **body: Any) -> Any:
    return httpx2.post(f"{url}/v1/{path}", json={"model": "m"} | body, timeout=PATIENCE).json()


def chat(url: str, call: str | None = None) -> Any:
    said: list[Any] = [QUESTION]
    if call:
        function = {"name": "screenshot", "arguments": "{}"}
        said.append({"role": "assistant", "tool_calls": [{"id": call, "type": "function", "function": function}]})
        parts = [{"type": "text", "text": "done"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
        said.append({"role": "tool", "tool_call_id": call, "content": parts})
    tools = [{"type": "function", "function": {"name": "screenshot", "parameters": SCHEMA}}]
    message = post(url, "chat/completions", messages=said, tools=tools)["choices"][0]["message"]
    return message["content"] if call else message["tool_calls"][0]["id"]


def messages(url: str, call: str | None = None) -> Any:
    said: list[Any] = [QUESTION]
    if call:
        said.append(
            {"role": "assistant", "content": [{"type": "tool_use", "id": call, "name": "screenshot", "input": {}}]}
        )
        source = {"type": "base64", "media_type": "image/png", "data": DATA}
        content = [{"type": "text", "text": "done"}, {"type": "image", "source": source}]
        said.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": content}]})
    tools = [{"name": "screenshot", "input_schema": SCHEMA}]
    last = post(url, "messages", max_tokens=99, messages=said, tools=tools)["content"][-1]
    return last["text"] if call else last["id"]


def responses(url: str, call: str | None = None) -> Any:
    said: list[Any] = [QUESTION]
    if call:
        said.append({"type": "function_call", "call_id": call, "name": "screenshot", "arguments": "{}"})
        parts = [{"type": "input_text", "text": "done"}, {"type": "input_image", "image_url": IMAGE}]
        said.append({"type": "function_call_output", "call_id": call, "output": parts})
    tools = [{"type": "function", "name": "screenshot", "parameters": SCHEMA}]
    last = post(url, "responses", input=said, tools=tools)["output"][-1]
    return last["content"][0]["text"] if call else last["call_id"]


APIS = [chat, messages, responses]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_run_goes_on_with_images(tmp_path: Path, api: Any, restarted: bool) -> None:
    def minds(model: ScriptedModel) -> Any:
        journal = f"sqlite:///{tmp_path / 'runs.db'}" if restarted else None
        return {"m": Contemplator(model, mode="instant", journal=journal)}

    model = ScriptedModel(looking)
    with serving(minds(model)) as url:
        call = api(url)
        if not restarted:
            assert api(url, call) == f"['done'], ['{IMAGE}']"
    if restarted:
        model = ScriptedModel(looking)
        with serving(minds(model)) as url:
            assert api(url, call) == f"['done'], ['{IMAGE}']"
    assert [each.role for each in model.requests[-1].messages] == ["user", "assistant", "tool", "user"]
    assert not model.requests[-1].messages[-1].text, "it was made anew"


@pytest.mark.parametrize("api", APIS)
def test_a_run_that_is_made_anew_sees_them_too(api: Any) -> None:
    model = ScriptedModel(looking)
    with serving({"m": Contemplator(model, mode="instant")}) as url:
        assert api(url, "call_of_another_server") == f"['done'], ['{IMAGE}']"
