"""Requests as pydantic-ai takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import JsonValue
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as ForeignRequest
from pydantic_ai.messages import ModelResponse as ForeignResponse
from pydantic_ai.models import Model as ForeignModel
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings as ForeignSettings
from pydantic_ai.tools import ToolDefinition

from ...messages import ImagePart, Message
from ..base import ModelRequest
from .opaque import recalled

_SAME_NAME = ("temperature", "top_p", "max_tokens", "seed")


def history(messages: Sequence[Message], mark: str) -> list[ModelMessage]:
    """Return `messages` as pydantic-ai's, with the data of the provider with this `mark`."""
    result: list[ModelMessage] = []
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    for message in messages:
        if message.role == "assistant":
            result.append(recalled(message, mark) or _plain(message))
            continue
        part = _part(message, names)
        if result and isinstance(result[-1], ForeignRequest):
            result[-1] = ForeignRequest(parts=[*result[-1].parts, part])
        else:
            result.append(ForeignRequest(parts=[part]))
    return result


def parameters(request: ModelRequest, model: ForeignModel) -> ModelRequestParameters:
    """Return the tools of `request`, and the schema of its answer, in the firmest form that `model` has for it."""
    tools = [
        ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool.parameters)
        for tool in request.tools
    ]
    output = request.output_schema
    if output is None:
        return ModelRequestParameters(function_tools=tools)
    return ModelRequestParameters(
        function_tools=tools,
        output_mode=_output_mode(request, model, output.schema),
        output_object=OutputObjectDefinition(json_schema=output.schema, name=output.name),
        output_tools=[ToolDefinition(name=output.name, parameters_json_schema=output.schema, kind="output")],
    )


def call_settings(
    request: ModelRequest, model: ForeignModel, provider_settings: Mapping[str, Any], *, seconds: float, cache: bool
) -> ForeignSettings:
    """Return the settings of `request` by pydantic-ai's names, but for those that `model` does not have."""
    settings = request.settings
    said: dict[str, Any] = {name: getattr(settings, name) for name in _SAME_NAME}
    said["stop_sequences"] = None if settings.stop is None else list(settings.stop)
    said["extra_body"] = settings.extra
    effort = settings.reasoning_effort
    said["thinking"] = False if effort == "none" else effort
    if request.tools and request.tool_choice != "auto":
        said["tool_choice"] = request.tool_choice
    # `Retry` makes the retries, and each must be seen.
    said |= {"timeout": seconds, "max_retries": 0, "cache": cache or None}
    lacking = _lacking(request, model)
    has = {name: value for name, value in said.items() if value is not None and name not in lacking}
    return cast("ForeignSettings", has | dict(provider_settings))


def unsent(request: ModelRequest, model: ForeignModel) -> tuple[str, ...]:
    """Return notes on the settings of `request` that `model` does not have.

    No seed is no loss worth a note: samples still differ.
    """
    wanted = {"temperature": "temperature", "top_p": "top_p", "stop": "stop_sequences", "extra": "extra_body"}
    settings, lacking = request.settings, _lacking(request, model)
    names = [name for name, foreign in wanted.items() if getattr(settings, name) is not None and foreign in lacking]
    names += ["tool_choice"] if "tool_choice" in lacking else []
    names += ["logprobs"] if settings.logprobs is not None else []
    return tuple(f"the setting {name!r} was not sent, as the model does not have it" for name in names)


def _lacking(request: ModelRequest, model: ForeignModel) -> frozenset[str]:
    """Return the settings that `model` does not have, or not in this request."""
    lacking, profile = frozenset[str](model.unsupported_settings), model.profile
    if any(profile.get(f"{api}_disallows_sampling_settings") for api in ("anthropic", "bedrock")):
        lacking |= {"temperature", "top_p"}
    effort = request.settings.reasoning_effort
    thinks = effort != "none" and (effort or profile.get("thinking_enabled_by_default"))
    while_thinking = profile.get("supports_forced_tool_choice_with_thinking", True)
    may_force = profile.get("supports_forced_tool_choice", True) and (while_thinking or not thinks)
    if request.tool_choice == "required" and not may_force:
        lacking |= {"tool_choice"}
    return lacking


def _output_mode(
    request: ModelRequest, model: ForeignModel, schema: JsonValue
) -> Literal["native", "prompted", "auto"]:
    """Return how the answer is held to the schema; "auto": as a tool's arguments, or as the model's profile says."""
    profile = model.profile
    if not profile.get("supports_json_schema_output"):
        return "auto"
    if _has_open_objects(schema):
        return "prompted"
    # Gemini takes no schema beside tools before version 3.
    beside_tools = profile.get("google_supports_tool_combination", not model.system.startswith("google"))
    return "native" if beside_tools or not request.tools else "auto"


def _has_open_objects(schema: JsonValue) -> bool:
    """Return whether a schema allows keys of any name: providers close such objects, and an empty one would be left."""
    if isinstance(schema, list):
        return any(map(_has_open_objects, schema))
    if not isinstance(schema, dict):
        return False
    if schema.get("additionalProperties") not in (None, False):
        return True
    return any(map(_has_open_objects, schema.values()))


def _plain(message: Message) -> ForeignResponse:
    said = [TextPart(message.text)] if message.text or not message.tool_calls else []
    return ForeignResponse([*said, *(ToolCallPart(call.name, call.arguments, call.id) for call in message.tool_calls)])


def _part(message: Message, names: Mapping[str, str]) -> SystemPromptPart | UserPromptPart | ToolReturnPart:
    if message.role == "system":
        return SystemPromptPart(message.text)
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        return ToolReturnPart(names.get(call_id, "tool"), message.text, call_id)
    if not message.images:
        return UserPromptPart(message.text)
    content: list[UserContent] = [_image(part) if isinstance(part, ImagePart) else part.text for part in message.parts]
    return UserPromptPart(content)


def _image(image: ImagePart) -> ImageUrl | BinaryContent:
    if image.url is None:
        return BinaryContent(image.data or b"", media_type=image.media_type)
    return BinaryContent.from_data_uri(image.url) if image.url.startswith("data:") else ImageUrl(image.url)
