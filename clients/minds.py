"""The scripted model behind the server under test: what it writes follows from what it is asked.

Each question has a plan of two parts. The parts call the client's tools where the question is about them, and the
merging call makes the answer of what they found, so that a tool's result in the answer went all the way.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import anyio.lowlevel

from contemplate import Contemplator, Message
from contemplate.errors import ModelRequestError, ModelServerError
from contemplate.messages import ToolCall
from contemplate.models import Delta, DeltaSink, ModelRequest, ModelResponse
from contemplate.testing import ScriptedModel

from . import features
from .shell_tools import shell_call

Role = Literal["plan", "part", "merge", "alone"]
Tell = Callable[[dict[str, Any]], None]

READING = re.compile(r"\d+\.\d degrees and \w+")
DONE = "Both files are well."
CHUNK = 8
SECONDS_A_CHUNK = 0.02


def minds(tell: Tell) -> dict[str, Contemplator[Any]]:
    """Return what the server offers; `tell` hears of each model call."""
    model = QuestionDriven(tell)
    return {"contemplate": Contemplator(model)}


@dataclass
class QuestionDriven:
    """A model that answers by its role in the run, and by which of the features' questions it is asked."""

    tell: Tell
    name: str = "scripted"

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer; at the question that never ends, begin to and wait."""
        role = role_of(request)
        said = "\n".join(message.text for message in request.messages)
        feature = features.asked_in(said)
        self._tell_of(request, role, feature)
        if feature == "outage":
            raise ModelServerError(features.OUTAGE, model=self.name, status=503)
        if feature == "errors":
            raise ModelRequestError(features.REFUSAL, model=self.name, status=400)
        if feature == "cancel" and role in ("merge", "alone"):
            await self._never_end(on_delta)
        reply = _reply(request, role, feature)
        self.tell({"reply": _words(reply), "of": role})
        sink = None if on_delta is None or feature == "stream" else on_delta
        response = await ScriptedModel(lambda _: reply, chunk=CHUNK).request(request, sink)
        if on_delta is not None and sink is None:
            await _write_slowly(response.message.text, on_delta)
        return response

    def _tell_of(self, request: ModelRequest, role: Role, feature: str | None) -> None:
        images = [image.data for message in request.messages for image in message.images]
        self.tell(
            {
                "call": role,
                "feature": feature,
                "asked": request.messages[-1].text,
                "tools": [tool.name for tool in request.tools],
                "images": [hashlib.sha256(data).hexdigest() if data else "elsewhere" for data in images],
            }
        )

    async def _never_end(self, on_delta: DeltaSink | None) -> None:
        self.tell({"waiting": True})
        try:
            if on_delta is not None:
                for number in range(8):
                    await anyio.lowlevel.checkpoint()
                    on_delta(Delta(f"{number} stars, "))
            await anyio.sleep_forever()
        finally:
            self.tell({"cancelled": True})


async def _write_slowly(text: str, on_delta: DeltaSink) -> None:
    """Write as slowly as models do: what is written at once comes at once."""
    for start in range(0, len(text), CHUNK):
        on_delta(Delta(text[start : start + CHUNK]))
        await anyio.sleep(SECONDS_A_CHUNK)


def role_of(request: ModelRequest) -> Role:
    """Return which of a run's calls `request` is."""
    if request.output_schema is not None and "tasks" in json.dumps(request.output_schema.schema):
        return "plan"
    if "Now answer the whole question" in request.messages[-1].text:
        return "merge"
    return "part" if any("one of several experts" in message.text for message in request.messages) else "alone"


def _words(reply: str | Message) -> str:
    if isinstance(reply, str):
        return reply
    return "; ".join(f"{call.name} {call.arguments}" for call in reply.tool_calls)


def _reply(request: ModelRequest, role: Role, feature: str | None) -> str | Message:
    last = request.messages[-1]
    if role == "plan":
        return json.dumps({"tasks": [_task(title) for title in features.PARTS.get(feature or "", ("Salt", "Water"))]})
    if request.output_schema is not None:
        return json.dumps(features.CITY)
    if feature == "tools":
        return _with_weather(request, role)
    if feature == "edit":
        return _with_shell(request, role)
    if feature == "structured":
        return _as_tool(request) or json.dumps(features.CITY)
    if feature == "images" and role != "part":
        return f"The image is {len(last.images[0].data or b'')} bytes long." if last.images else "There is no image."
    return features.SALT if role != "part" else "A finding."


def _task(title: str) -> dict[str, Any]:
    return {"title": title, "prompt": f"Find out what there is to know: {title}.", "needs": []}


def _with_weather(request: ModelRequest, role: Role) -> str | Message:
    if role == "merge":
        return "; ".join(sorted(set(READING.findall(request.messages[-1].text)))) or "No reading."
    results = [message.text for message in request.messages if message.role == "tool"]
    cities = features.PARTS["tools"] if role == "alone" else (_own_title(request, features.PARTS["tools"]),)
    if results or not any(tool.name.endswith("weather") for tool in request.tools):
        return "; ".join(results) or "No tool."
    name = next(tool.name for tool in request.tools if tool.name.endswith("weather"))
    calls = tuple(ToolCall(id=f"w{i}", name=name, arguments=json.dumps({"city": c})) for i, c in enumerate(cities))
    return Message.assistant("", calls)


def _with_shell(request: ModelRequest, role: Role) -> str | Message:
    if role == "merge":
        asked_for_texts = any("file listing" in message.text for message in request.messages)
        return "\n\n".join([DONE, *_listings()]) if asked_for_texts else DONE
    results = [message for message in request.messages if message.role == "tool"]
    if results:
        return f"The shell said: {results[-1].text}"
    call = shell_call(request.tools, features.EDITS[_own_title(request, features.PARTS["edit"])])
    return "There is no shell." if call is None else Message.assistant("", (call,))


def _listings() -> list[str]:
    # The form in which aider wants whole files.
    return [f"{name}\n```\n{text}```" for name, text in features.WRITTEN.items()]


def _as_tool(request: ModelRequest) -> Message | None:
    for tool in request.tools:
        if set(features.CITY) <= set(json.dumps(tool.parameters).replace('"', " ").split()):
            return Message.assistant("", (ToolCall(id="o", name=tool.name, arguments=json.dumps(features.CITY)),))
    return None


def _own_title(request: ModelRequest, titles: tuple[str, ...]) -> str:
    own = [message.text for message in request.messages if message.role == "user"]
    for text in reversed(own):
        for title in titles:
            if text.rstrip().endswith(f"{title}."):
                return title
    return titles[0]
