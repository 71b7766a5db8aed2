"""Requests in the chat completions format.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from ...messages import ImagePart, Message, TextPart
from ..base import ModelRequest, OutputSchema
from ..schemas import sent_schema
from .profile import Profile


def request_body(request: ModelRequest, *, model: str, stream: bool, profile: Profile) -> bytes:
    """Return `request` as the body of a chat completions call in a server's dialect, JSON in UTF-8."""
    settings = request.settings
    body: dict[str, Any] = {"model": model, "messages": [_message(message) for message in request.messages]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if settings.max_tokens is not None:
        body[profile.max_tokens_field] = settings.max_tokens
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
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": sent_schema(tool.parameters, profile.schema_dialect, optional=True).schema,
                },
            }
            for tool in request.tools
        ]
        if request.tool_choice != "auto":
            body["tool_choice"] = request.tool_choice
    if request.output_schema is not None:
        body["response_format"] = _response_format(request.output_schema, profile)
    if settings.extra:
        body |= settings.extra
    return to_json(body)


def _response_format(output: OutputSchema, profile: Profile) -> dict[str, Any]:
    sent = sent_schema(output.schema, profile.schema_dialect)
    return {"type": "json_schema", "json_schema": {"name": output.name, "schema": sent.schema, "strict": sent.strict}}


def _message(message: Message) -> dict[str, Any]:
    result: dict[str, Any] = {"role": message.role}
    if message.role == "user" and message.images:
        result["content"] = [_part(part) for part in message.parts]
    else:
        result["content"] = message.text or (None if message.tool_calls else "")
    if message.tool_calls:
        result["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        result["tool_call_id"] = message.tool_call_id
    return result


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.as_url()}}
