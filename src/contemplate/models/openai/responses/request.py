"""Requests in the Responses format. Nothing is stored by the provider, so what a model thought goes back encrypted.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ....messages import ImagePart, Message, TextPart, instructed
from ....settings import ModelSettings
from ...base import ModelRequest, OutputSchema, ToolSpec
from ...schemas import sent_schema
from ..output_bound import output_bound
from ..profile import Profile, SchemaForm
from ..request import nearest_effort
from ..schema_forms import form_of, in_words, is_streamed, tools_of
from .output import items_of

ENCRYPTED_REASONING = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


def responses_body(
    request: ModelRequest, *, model: str, stream: bool, profile: Profile, provider: str = ""
) -> dict[str, Any]:
    """Return `request` as the body of a Responses call. There is no way to say `seed` and `stop`.

    Args:
        request: the call.
        model: the provider's name for the model.
        stream: whether events are wanted.
        profile: the endpoint's dialect.
        provider: the endpoint, whose own items go back to it as they are.
    """
    form = form_of(request, profile)
    messages: Sequence[Message] = request.messages
    if request.output_schema is not None and form not in ("strict", "plain"):
        messages = instructed(messages, in_words(request.output_schema, request.prompts))
    body: dict[str, Any] = {
        "model": model,
        "input": [item for message in messages for item in _items(message, profile, provider)],
        "store": False,
        "include": [ENCRYPTED_REASONING],
    }
    if stream and is_streamed(request, profile):
        body["stream"] = True
    if (bound := output_bound(request, profile)) is not None:
        body["max_output_tokens"] = bound
    _add_settings(body, request.settings, profile)
    if tools_of(request, profile):
        body["tools"] = [_tool(tool, profile) for tool in request.tools]
        if request.tool_choice != "auto":
            body["tool_choice"] = request.tool_choice
    if request.output_schema is not None and form not in (None, "words", "tool"):
        body["text"] = {"format": _format(request.output_schema, profile, form)}
    body |= request.settings.extra or {}
    return {name: value for name, value in body.items() if name not in profile.left_out}


def _add_settings(body: dict[str, Any], settings: ModelSettings, profile: Profile) -> None:
    for name, value in (("temperature", settings.temperature), ("top_p", settings.top_p)):
        if value is not None:
            body[name] = min(value, profile.at_most.get(name, value))
    if settings.reasoning_effort is not None and "reasoning_effort" not in profile.left_out:
        body["reasoning"] = {"effort": nearest_effort(settings.reasoning_effort, profile.efforts)}
    if settings.logprobs is not None and "logprobs" not in profile.left_out:
        body["top_logprobs"] = settings.logprobs
        body["include"] = [*body["include"], LOGPROBS]


def _tool(tool: ToolSpec, profile: Profile) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": sent_schema(tool.parameters, profile.schema_dialect, optional=True).schema,
        # Without it, the provider makes every parameter required.
        "strict": False,
    }


def _format(output: OutputSchema, profile: Profile, form: SchemaForm | None) -> dict[str, Any]:
    if form == "json_object":
        return {"type": "json_object"}
    sent = sent_schema(output.schema, profile.schema_dialect)
    strict = sent.strict and form == "strict"
    return {"type": "json_schema", "name": output.name, "schema": sent.schema, "strict": strict}


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
