"""Conversations in the chat completions format, in the order and with the roles that a server takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import from_json, to_json

from ...messages import ImagePart, Message, ProviderData, TextPart, ToolCall
from ...prompts import Prompts
from .opaque_fields import RESPONSE_ITEMS, THINKING_PARTS
from .profile import Profile

Sent = dict[str, Any]

_PLAIN = ("reasoning_content", "reasoning")
_SIGNED = "reasoning_details"
_REASONING = frozenset({*_PLAIN, _SIGNED})


def sent_messages(messages: Iterable[Message], profile: Profile, provider: str, prompts: Prompts) -> list[Sent]:
    """Return `messages` as a server takes them.

    Args:
        messages: the conversation.
        profile: the server's dialect.
        provider: the server, which gets back what it added to messages, and nothing that another one did.
        prompts: what an assistant says where a server wants it to say something.
    """
    sent: list[Sent] = []
    merges = profile.roles_alternate or profile.system_role == "user"
    for message in messages:
        role, text, calls = message.role, message.text, message.tool_calls
        # Servers refuse an assistant that said nothing; the images that it made are not sent.
        if role == "assistant" and not text and not calls:
            continue
        each: Sent = {"role": profile.system_role if role == "system" else role, "content": text}
        if role == "user" and message.images:
            each["content"] = [_part(part) for part in message.parts]
        if calls:
            each["content"] = text or None
            each["tool_calls"] = [_call(call, provider) for call in calls]
        if message.tool_call_id is not None:
            each["tool_call_id"] = message.tool_call_id
        if message.provider_data is not None:
            _add_opaque(each, message.provider_data, provider, profile)
        if sent and each["role"] == "user":
            before = sent[-1]
            if merges and before["role"] == "user":
                before["content"] = _joined(before["content"], each["content"])
                continue
            if before["role"] == "tool" and not profile.user_after_tool:
                sent.append({"role": "assistant", "content": prompts.render("after_tools")})
        sent.append(each)
    return sent


def _add_opaque(sent: Sent, data: ProviderData, provider: str, profile: Profile) -> None:
    """Add the fields that go back to the provider that they came from; plain reasoning only where it wants it."""
    if data.provider != provider:
        return
    fields = dict(data.fields)
    goes_back = "tool_calls" in sent or profile.reasoning_back == "all"
    for name in _REASONING & fields.keys():
        if not goes_back or name != _form_that_goes_back(fields, profile):
            del fields[name]
    # The items of the Responses API are no fields of this one.
    fields.pop(RESPONSE_ITEMS, None)
    thoughts = fields.pop(THINKING_PARTS, None)
    if isinstance(thoughts, list) and thoughts:
        sent["content"] = [*thoughts, *_parts(sent["content"] or [])]
    sent |= fields


def _form_that_goes_back(fields: Mapping[str, object], profile: Profile) -> str | None:
    """Return the field in which reasoning goes back: the same in several forms does so in one.

    What may be signed does unless the server is known to refuse it: without it, providers refuse the next turn.
    """
    if profile.reasoning_field in fields:
        return profile.reasoning_field
    if _SIGNED in fields and _SIGNED not in profile.left_out:
        return _SIGNED
    return None if profile.reasoning_field is None else next((name for name in _PLAIN if name in fields), None)


def _call(call: ToolCall, provider: str) -> Sent:
    function = {"name": call.name, "arguments": _arguments(call.arguments)}
    sent: Sent = {"id": call.id, "type": "function", "function": function}
    if call.provider_data is not None and call.provider_data.provider == provider:
        sent |= call.provider_data.fields
    return sent


def _arguments(text: str) -> str:
    """Return the arguments of a tool call as the JSON of an object: of half an object, its first half."""
    try:
        value = from_json(text, allow_partial=False)
    except ValueError:
        try:
            value = from_json(text, allow_partial=True)
        except ValueError:
            return "{}"
        return to_json(value).decode() if isinstance(value, dict) else "{}"
    return text if isinstance(value, dict) else "{}"


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [*_parts(first), *_parts(second)]


def _parts(content: Any) -> list[Sent]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _part(part: TextPart | ImagePart) -> Sent:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": part.as_url()}}
