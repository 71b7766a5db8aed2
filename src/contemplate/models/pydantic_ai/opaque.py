"""What only a provider understands in its answers, such as signed thoughts: kept on our messages, and sent back."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError
from pydantic_ai.messages import FilePart, ModelResponsePart, TextPart, ToolCallPart
from pydantic_ai.messages import ModelResponse as ForeignResponse
from pydantic_ai.models import Model as ForeignModel

from ...data import to_json_text
from ...messages import Message, ProviderData

# What a response says of itself, and what is neither sent back nor needed to send it.
_NOT_KEPT = {"usage", "timestamp", "finish_reason", "failed_attempts", "metadata", "workspace_ref", "run_id"}
_RESPONSE: TypeAdapter[ForeignResponse] = TypeAdapter(ForeignResponse)


def mark_of(model: ForeignModel) -> str:
    """Return what marks the data of a model's provider; it goes back to no other."""
    return f"pydantic-ai:{model.system}"


def kept(response: ForeignResponse, message: Message, mark: str) -> ProviderData | None:
    """Return what must go back with `message`, which was read from `response`; None if it says all there is."""
    opaque = any(map(_is_opaque, response.parts))
    if not opaque or not _says(response, message):
        return None
    fields = _RESPONSE.dump_python(response, mode="json", exclude=_NOT_KEPT, exclude_none=True)
    return ProviderData(provider=mark, fields=fields)


def recalled(message: Message, mark: str) -> ForeignResponse | None:
    """Return the response that `message` was read from; None if it was another provider's, or has been changed."""
    data = message.provider_data
    if data is None or data.provider != mark:
        return None
    try:
        response = _RESPONSE.validate_python(dict(data.fields))
    except ValidationError:
        # From another version of pydantic-ai.
        return None
    return response if _says(response, message) else None


def arguments_of(call: ToolCallPart) -> str:
    """Return the arguments as JSON text, which is the model's own if it is known."""
    if isinstance(call.args, str):
        return call.args or "{}"
    return to_json_text(call.args or {})


def _is_opaque(part: ModelResponsePart) -> bool:
    if not isinstance(part, TextPart | ToolCallPart | FilePart):
        return True
    return bool(part.provider_details or part.id)


def _says(response: ForeignResponse, message: Message) -> bool:
    """Return whether `response` says what `message` says: its words, and its calls."""
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    calls = [
        (part.tool_call_id, part.tool_name, arguments_of(part))
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    return text == message.text and calls == [(call.id, call.name, call.arguments) for call in message.tool_calls]
