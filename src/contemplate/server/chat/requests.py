"""What the body of a chat completion asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...contemplator import Contemplator
from ...errors import ConfigurationError
from ...settings import ModelSettings
from ...tools.external import external_tool
from ...tools.tool import Tool
from ..api_errors import invalid_request
from ..json_output import any_object, json_output
from ..neutral_request import Asked
from .conversation import as_question, returned_in
from .schema import ChatRequest, JsonFormat, SchemaFormat, ToolSpec


def asked_of(body: ChatRequest, mind: Contemplator[Any]) -> Asked:
    """Return what `body` asks `mind`.

    Raises:
        RequestError: there is no question in it, a schema is none, or a tool cannot be one.
    """
    labels = dict(body.metadata or {}) | ({"user": body.user} if body.user else {})
    return Asked(
        mind,
        body.model,
        as_question(body.messages, mind.prompts),
        output_type=_output_type(body),
        settings=_settings(body),
        seed=body.seed,
        tools=_tools(body.tools or ()),
        tool_choice=_tool_choice(body),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        returned=returned_in(body.messages),
        labels=labels,
    )


def _tools(specs: Sequence[ToolSpec]) -> tuple[Tool, ...]:
    tools: dict[str, Tool] = {}
    for place, each in enumerate(specs):
        function, param = each.function, f"tools[{place}].function"
        if function.name in tools:
            raise invalid_request(f"{param}.name: two tools are called {function.name!r}", param=f"{param}.name")
        try:
            # What a client's tool does is not known: it is not to be done by each of several subagents.
            made = external_tool(function.name, function.description or "", function.parameters, side_effects=True)
        except ConfigurationError as error:
            raise invalid_request(f"{param}: {error}", param=param) from None
        tools[made.name] = made
    return tuple(tools.values())


def _tool_choice(body: ChatRequest) -> str:
    choice = body.tool_choice or "auto"
    return choice if isinstance(choice, str) else choice.function.name


def _settings(body: ChatRequest) -> ModelSettings | None:
    given: dict[str, Any] = {
        "temperature": body.temperature,
        # Zero is greedy, and means the most likely token alone.
        "top_p": body.top_p or None,
        "max_tokens": body.max_completion_tokens or body.max_tokens,
        "stop": (body.stop,) if isinstance(body.stop, str) else body.stop or None,
    }
    said = {name: value for name, value in given.items() if value is not None}
    return ModelSettings(**said) if said else None


def _output_type(body: ChatRequest) -> Any:
    match body.response_format:
        case JsonFormat():
            return any_object()
        case SchemaFormat(json_schema=wanted):
            return json_output(wanted.name, wanted.schema_, "response_format.json_schema.schema")
    return None
