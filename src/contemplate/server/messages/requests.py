"""What the body of a message asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...contemplator import Contemplator
from ...errors import ConfigurationError
from ...models import ModelRequest, ToolSpec
from ...models.tokens import request_tokens
from ...prompts import Prompts
from ...settings import ModelSettings
from ...tools import Tool
from ...tools.external import external_tool
from ..api_errors import invalid_request
from ..json_output import json_output
from ..neutral_request import Asked
from .conversation import as_messages, as_question, returned
from .schema import CountRequest, MessagesRequest
from .tool_names import short_name


def asked_of(body: MessagesRequest, mind: Contemplator[Any]) -> Asked:
    """Return what `body` asks `mind`.

    Raises:
        RequestError: there is no question in it, its schema is none, a tool cannot be one, or the server is to hold the
            conversation.
    """
    if body.thread is not None:
        # The official client then sends the whole conversation each time.
        why = "thread: this server holds no conversations; send the whole of it, without thread"
        raise invalid_request(why, param="thread", code="thread_unsupported_request")
    user = body.metadata.user_id
    return Asked(
        mind,
        body.model,
        as_question(body, mind.prompts),
        output_type=_output_type(body),
        settings=_settings(body),
        tools=_tools(body),
        tool_names={short_name(each.name): each.name for each in body.tools},
        tool_choice=_tool_choice(body),
        parallel_tool_calls=not body.tool_choice.disable_parallel_tool_use,
        returned=returned(body),
        labels={"user": user} if user else {},
    )


def tokens_of(body: CountRequest, prompts: Prompts) -> int:
    """Estimate how many tokens `body` is, with its instructions and tools."""
    tools = tuple(ToolSpec(each.name, each.description, each.input_schema) for each in body.tools)
    return request_tokens(ModelRequest(as_messages(body, prompts), tools=tools))


def _settings(body: MessagesRequest) -> ModelSettings | None:
    given: dict[str, Any] = {
        "temperature": body.temperature,
        # Zero is greedy, and means the most likely token alone.
        "top_p": body.top_p or None,
        "max_tokens": body.max_tokens,
        "stop": body.stop_sequences or None,
    }
    said = {name: value for name, value in given.items() if value is not None}
    return ModelSettings(**said) if said else None


def _output_type(body: MessagesRequest) -> Any:
    wanted, param = body.output_config.format, "output_config.format.schema"
    if wanted is None:
        wanted, param = body.output_format, "output_format.schema"
    return None if wanted is None else json_output("output", wanted.schema_, param)


def _tools(body: MessagesRequest) -> tuple[Tool, ...]:
    def made() -> Iterator[Tool]:
        for place, each in enumerate(body.tools):
            try:
                # What a client's tool does is not known: it is not to be done by each of several subagents.
                name = short_name(each.name)
                yield external_tool(name, each.description, each.input_schema, side_effects=True)
            except ConfigurationError as error:
                param = f"tools[{place}]"
                raise invalid_request(f"{param}: {error}", param=param) from None

    return tuple(made())


def _tool_choice(body: MessagesRequest) -> str:
    chosen = body.tool_choice
    if chosen.type != "tool":
        return "required" if chosen.type == "any" else chosen.type
    if chosen.name is None:
        raise invalid_request("tool_choice: the type tool needs a name", param="tool_choice")
    return short_name(chosen.name)
