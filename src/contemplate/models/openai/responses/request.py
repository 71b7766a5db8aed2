"""Requests in the Responses format. Nothing is stored by the provider, so what a model thought goes back encrypted.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from ....messages import ImagePart, Message, TextPart
from ...base import ModelRequest, OutputSchema
from ..profile import Profile
from ..schema import strict
from .output import items_of

ENCRYPTED_REASONING = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


def responses_body(request: ModelRequest, *, model: str, stream: bool, profile: Profile, provider: str) -> bytes:
    """Return `request` as the body of a Responses call, JSON in UTF-8. There is no way to say `seed` and `stop`.

    Args:
        request: the call.
        model: the provider's name for the model.
        stream: whether events are wanted.
        profile: the endpoint's dialect.
        provider: the endpoint, whose own items go back to it as they are.
    """
    settings = request.settings
    include = [ENCRYPTED_REASONING]
    body: dict[str, Any] = {
        "model": model,
        "input": [item for message in request.messages for item in _items(message, profile, provider)],
        "store": False,
        "include": include,
    }
    if stream:
        body["stream"] = True
    if settings.max_tokens is not None:
        body["max_output_tokens"] = settings.max_tokens
    body |= {name: value for name in ("temperature", "top_p") if (value := getattr(settings, name)) is not None}
    if settings.reasoning_effort is not None:
        body["reasoning"] = {"effort": settings.reasoning_effort}
    if settings.logprobs is not None:
        body["top_logprobs"] = settings.logprobs
        include.append(LOGPROBS)
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                # Without it, the provider makes every parameter required.
                "strict": False,
            }
            for tool in request.tools
        ]
        if request.tool_choice != "auto":
            body["tool_choice"] = request.tool_choice
    if request.output_schema is not None:
        body["text"] = {"format": _format(request.output_schema, profile)}
    body = {name: value for name, value in body.items() if name not in profile.left_out}
    return to_json(body | (settings.extra or {}))


def _format(output: OutputSchema, profile: Profile) -> dict[str, Any]:
    schema = strict(output.schema) if profile.schema_dialect == "openai" else output.schema
    return {"type": "json_schema", "name": output.name, "schema": schema, "strict": True}


def _items(message: Message, profile: Profile, provider: str) -> Iterator[dict[str, Any]]:
    """Yield the items that a message becomes: text, calls and results of tools are items of their own."""
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}
        return
    if message.role != "assistant":
        role = profile.system_role if message.role == "system" else message.role
        yield {"type": "message", "role": role, "content": [_part(part) for part in message.parts]}
        return
    kept = items_of(message, provider)
    if kept:
        yield from kept
        return
    if message.text:
        yield {"type": "message", "role": "assistant", "content": message.text}
    for call in message.tool_calls:
        arguments = call.arguments if call.arguments.strip() else "{}"
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    return {"type": "input_image", "detail": "auto", "image_url": part.as_url()}
