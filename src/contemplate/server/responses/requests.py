"""What the body of a request asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...contemplator import Contemplator
from ...errors import ConfigurationError
from ...messages import Message
from ...options import AnyTool
from ...settings import ModelSettings
from ...tools import external_tool
from ..api_errors import invalid_request
from ..json_output import any_object, json_output
from ..neutral_request import Asked
from ..questions import question_of
from .conversation import as_messages, returned
from .items import Item
from .schema import AllowedTools, FunctionTool, Input, JsonFormat, NamedTool, ResponsesRequest, SchemaFormat


def asked_of(body: ResponsesRequest, mind: Contemplator[Any], items: Sequence[Item], id_: str) -> Asked:
    """Return what `body` asks `mind`.

    Args:
        body: the body.
        mind: the contemplator.
        items: the conversation, with the input at its end.
        id_: the id of the response.

    Raises:
        RequestError: there is no question in it, a schema is none, or a tool cannot be one.
    """
    return Asked(
        mind,
        body.model,
        question_of(messages_of(body, items), mind.prompts, "input"),
        output_type=_output_type(body),
        settings=_settings(body),
        tools=tuple(map(_tool, offered(body))),
        tool_choice=_tool_choice(body),
        parallel_tool_calls=body.parallel_tool_calls,
        returned=returned(items),
        labels=body.metadata | {"response": id_} | ({"user": body.user} if body.user else {}),
    )


def messages_of(body: Input, items: Sequence[Item]) -> list[Message]:
    """Return the messages of a request, with its instructions."""
    instructions = [Message.system(body.instructions)] if body.instructions else []
    return [*instructions, *as_messages(items)]


def offered(body: Input) -> tuple[FunctionTool, ...]:
    """Return the tools that may be called."""
    if not isinstance(body.tool_choice, AllowedTools):
        return body.tools
    allowed = {each.get("name") for each in body.tool_choice.tools}
    return tuple(each for each in body.tools if each.name in allowed)


def _tool(tool: FunctionTool) -> AnyTool:
    try:
        # What a client's tool does is not known: it is not to be done by each of several subagents.
        return external_tool(tool.name, tool.description or "", tool.parameters, side_effects=True)
    except ConfigurationError as error:
        raise invalid_request(f"tools: {error.message}", param="tools") from None


def _tool_choice(body: Input) -> str:
    names = [each.name for each in body.tools]
    match body.tool_choice:
        case NamedTool(name=name) if name not in names:
            raise invalid_request(f"tool_choice: there is no tool {name!r}", param="tool_choice")
        case NamedTool(name=name):
            return name
        case AllowedTools(mode=mode):
            return mode
        case mode:
            return mode


def _settings(body: ResponsesRequest) -> ModelSettings | None:
    given: dict[str, Any] = {
        "temperature": body.temperature,
        # Zero is greedy, and means the most likely token alone.
        "top_p": body.top_p or None,
        "max_tokens": body.max_output_tokens,
    }
    said = {name: value for name, value in given.items() if value is not None}
    return ModelSettings(**said) if said else None


def _output_type(body: Input) -> Any:
    match body.text.format:
        case JsonFormat():
            return any_object()
        case SchemaFormat(name=name, schema_=schema):
            return json_output(name, schema, "text.format.schema")
    return None
