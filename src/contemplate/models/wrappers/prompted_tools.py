"""Tools for models that cannot call tools: a JSON schema offers the choice between a tool call and an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import to_json

from ...data import readable, readable_json
from ...messages import Message, ToolCall, instructed
from ...prompts import Prompts, fence_mark, fenced
from ..base import Delta, DeltaSink, ModelRequest, ModelResponse, OutputSchema
from ..schemas.definitions import nested
from .base import Wrapper


class PromptedTools(Wrapper):
    """A model that describes the tools to `inner` in its prompt, with a JSON schema for a tool call or an answer.

    For servers that support JSON schemas, with models that were not trained to call tools. A turn has at most one call.

    Args:
        inner: the model.
    """

    async def request(self, request: ModelRequest, on_delta: DeltaSink | None = None) -> ModelResponse:
        """Answer `request`.

        Raises:
            ModelError: the call failed.
        """
        if not request.tools:
            return await self.inner.request(request, on_delta)
        plain = replace(
            request, messages=_without_tool_messages(request.messages, request.prompts), tools=(), tool_choice="auto"
        )
        if request.tool_choice == "none":
            return await self.inner.request(plain, on_delta)
        prompted = replace(
            plain,
            messages=instructed(plain.messages, _tools_in_words(request)),
            output_schema=OutputSchema("turn", _turn_schema(request)),
        )
        sink = None if on_delta is None else _AnswerOnly(on_delta)
        return _parse(await self.inner.request(prompted, sink), request)


class _Turn(BaseModel):
    tool: str | None = None
    arguments: dict[str, JsonValue] = {}
    answer: JsonValue = None


def _turn_schema(request: ModelRequest) -> dict[str, JsonValue]:
    definitions: dict[str, JsonValue] = {}
    turns: list[JsonValue] = []
    for tool in request.tools:
        arguments = nested(tool.parameters, definitions)
        turns.append(_object(tool={"type": "string", "const": tool.name}, arguments=arguments))
    if request.tool_choice != "required":
        answer: JsonValue = {"type": "string"}
        if request.output_schema is not None:
            answer = nested(request.output_schema.schema, definitions)
        turns.append(_object(answer=answer))
    schema: dict[str, JsonValue] = {"anyOf": turns}
    return schema | {"$defs": definitions} if definitions else schema


def _object(**properties: JsonValue) -> dict[str, JsonValue]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _tools_in_words(request: ModelRequest) -> str:
    lines = [
        f"- {tool.name}: {tool.description}\n  arguments: {to_json(tool.parameters).decode()}" for tool in request.tools
    ]
    return request.prompts.render("prompted_tools", tools="\n".join(lines))


def _without_tool_messages(messages: Sequence[Message], prompts: Prompts) -> tuple[Message, ...]:
    """Return the conversation without tool messages: calls as JSON from the assistant, results as user messages."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    plain: list[Message] = []
    for message in messages:
        if message.role == "tool":
            name = names.get(message.tool_call_id or "", "the tool")
            result = [(f"result of {name}", message.text)]
            mark = fence_mark(result)
            plain.append(Message.user(prompts.render("prompted_tool_result", mark=mark, result=fenced(result, mark))))
        elif message.tool_calls:
            calls = [f'{{"tool": "{call.name}", "arguments": {call.arguments or "{}"}}}' for call in message.tool_calls]
            said = Message.assistant("\n".join(filter(None, (message.text, *calls))))
            plain.append(said.model_copy(update={"provider_data": message.provider_data}))
        else:
            plain.append(message)
    return tuple(plain)


def _parse(response: ModelResponse, request: ModelRequest) -> ModelResponse:
    try:
        turn = _Turn.model_validate_json(readable_json(response.message.text))
    except ValidationError:
        # Cut off, or the server ignores schemas: the text is the answer.
        return response
    if turn.tool is not None:
        call = ToolCall(id=f"call_{len(request.messages)}", name=turn.tool, arguments=to_json(turn.arguments).decode())
        message = response.message.model_copy(update={"parts": (), "tool_calls": (call,)})
        return response.model_copy(update={"message": message, "finish": "tool_calls"})
    if turn.answer is None:
        return response
    text = turn.answer if isinstance(turn.answer, str) else to_json(turn.answer).decode()
    parts = Message.assistant(text, images=response.message.images).parts
    return response.model_copy(update={"message": response.message.model_copy(update={"parts": parts})})


class _AnswerOnly:
    """A delta sink that passes on the answer inside the JSON as it grows, and nothing of a tool call."""

    def __init__(self, on_delta: DeltaSink) -> None:
        self._on_delta = on_delta
        self._answer = _AnswerReader()

    def __call__(self, delta: Delta) -> None:
        if delta.restart:
            self._answer = _AnswerReader()
        if delta.restart or delta.reasoning:
            self._on_delta(Delta(reasoning=delta.reasoning, restart=delta.restart))
        answer = self._answer.feed(delta.text)
        if answer:
            self._on_delta(Delta(answer))


class _AnswerReader:
    """Reads the text of the field "answer" of a JSON object that arrives in pieces, each character once."""

    def __init__(self) -> None:
        self._depth = 0
        self._before = ""
        self._name = ""
        self._in_string = self._in_answer = False
        self._string: list[str] = []
        self._escape = ""

    def feed(self, text: str) -> str:
        """Return what `text` adds to the answer."""
        return "".join(map(self._read, text))

    def _read(self, letter: str) -> str:
        if self._in_string:
            return self._read_string(letter)
        if letter.isspace() or (self._depth == 0 and (self._before or letter != "{")):
            # Nothing counts but the first object, and only if no words come before it.
            self._before = self._before or letter.strip()
            return ""
        if letter == '"':
            self._in_string = True
            self._in_answer = (self._depth, self._before, self._name) == (1, ":", "answer")
            self._string.clear()
        elif letter == ":":
            self._name = "".join(self._string)
        else:
            self._depth += (letter in "{[") - (letter in "}]")
        self._before = letter
        return ""

    def _read_string(self, letter: str) -> str:
        if not self._escape and letter == '"':
            self._in_string = False
            return ""
        if self._escape or letter == "\\":
            self._escape += letter
            after = self._escape[6:]
            if after and not _SECOND_HALF.fullmatch(after):
                self._escape = ""
                return self._say("\N{REPLACEMENT CHARACTER}") + "".join(map(self._read_string, after))
            if not _ESCAPE.fullmatch(self._escape):
                return ""
            letter, self._escape = readable(json.loads(f'"{self._escape}"')), ""
        return self._say(letter)

    def _say(self, letter: str) -> str:
        if self._in_answer:
            return letter
        self._string.append(letter)
        return ""


# A complete escape, of which a character may have two; and the beginning of a second one.
_ESCAPE = re.compile(r'\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}')
_SECOND_HALF = re.compile(r"\\(u([dD]([c-fC-F][0-9a-fA-F]{0,2})?)?)?")
