"""The chat completions format: requests as JSON, and the JSON of responses as it comes.

Only the fields that are used are decoded; whatever else a server sends is ignored.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from ...messages import ImagePart, Message, TextPart
from ..base import ModelRequest
from .schema import strict


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Function(_Wire):
    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(_Wire):
    """A tool call, or a piece of one: `index` tells the calls of a stream apart, or `id` does."""

    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class Said(_Wire):
    """What a message says, or a piece of it."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallPiece] | None = None
    images: Any = None


class TopLogprob(_Wire):
    """A token that was likely."""

    token: str
    logprob: float


class Logprob(TopLogprob):
    """A token that was written."""

    top_logprobs: list[TopLogprob] = []


class Logprobs(_Wire):
    """The tokens of a choice."""

    content: list[Logprob] | None = None


class _Choice(_Wire):
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class _InputDetails(_Wire):
    cached_tokens: int | None = None


class _OutputDetails(_Wire):
    reasoning_tokens: int | None = None


class WireUsage(_Wire):
    """What was counted."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    cost: float | None = None


class Completion(_Wire):
    """A whole completion (`message`), or a chunk of a stream (`delta`), or an error."""

    model: str | None = None
    choices: list[_Choice] = []
    usage: WireUsage | None = None
    error: Any = None


class WireError(ValueError):
    """What the server sent is no chat completion. `server` is True where it reported an error of its own."""

    def __init__(self, message: str, *, server: bool = False) -> None:
        super().__init__(message)
        self.server = server


class BrokenOff(WireError):
    """The response ended before it was complete."""


def encode(request: ModelRequest, *, model: str, stream: bool, is_openai: bool) -> bytes:
    """`request` as the body of a chat completions call, JSON in UTF-8.

    OpenAI itself wants `max_completion_tokens` and strict schemas; other servers know the older name and more of
    JSON Schema.
    """
    settings = request.settings
    body: dict[str, Any] = {"model": model, "messages": [_message(message) for message in request.messages]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if settings.max_tokens is not None:
        body["max_completion_tokens" if is_openai else "max_tokens"] = settings.max_tokens
    for name in ("temperature", "top_p", "seed", "stop", "reasoning_effort"):
        value = getattr(settings, name)
        if value is not None:
            body[name] = value
    if settings.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": settings.logprobs}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in request.tools
        ]
        if request.tool_choice != "auto":
            body["tool_choice"] = request.tool_choice
    if request.output_schema is not None:
        schema = strict(request.output_schema.schema) if is_openai else request.output_schema.schema
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": request.output_schema.name, "schema": schema, "strict": True},
        }
    if settings.extra:
        body |= settings.extra
    return to_json(body)


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role}
    if message.role == "user" and message.images:
        said["content"] = [_part(part) for part in message.parts]
    else:
        said["content"] = message.text or (None if message.tool_calls else "")
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    return said


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.as_url()}}
