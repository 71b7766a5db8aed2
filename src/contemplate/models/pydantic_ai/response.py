"""Responses as pydantic-ai reads them."""

from __future__ import annotations

from pydantic_ai.messages import FilePart, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.messages import ModelResponse as ForeignResponse

from ...messages import ImagePart, Message, ToolCall
from ...usage import Usage
from ..accounting import NOT_REPORTED, plausible
from ..base import Finish, ModelRequest, ModelResponse
from .opaque import arguments_of, kept


class IncompleteResponse(Exception):
    """The response ended before it was complete."""


class Broken(Exception):
    """The model ended with an error, in the provider's words."""


def read(response: ForeignResponse, request: ModelRequest, mark: str, *, priced: bool) -> ModelResponse:
    """Return `response` as ours.

    Args:
        response: the response.
        request: what it answers.
        mark: what marks its provider's data.
        priced: whether to tell its cost, if its price is known.

    Raises:
        Broken: the model ended with an error.
    """
    details = response.provider_details or {}
    if response.finish_reason == "error":
        raise Broken(str(details.get("finish_message") or details.get("finish_reason") or "no reason given"))
    output = None if request.output_schema is None else request.output_schema.name
    refusal = "refusal" in details or details.get("finish_reason") == "refusal"
    texts, calls, images, thoughts = [], [], [], []
    for part in response.parts:
        if isinstance(part, TextPart):
            texts.append(part.content)
        elif isinstance(part, ThinkingPart):
            thoughts.append(part.content)
        elif isinstance(part, FilePart) and part.content.is_image:
            images.append(ImagePart(data=part.content.data, media_type=part.content.media_type))
        elif isinstance(part, ToolCallPart):
            arguments = arguments_of(part)
            if part.tool_name == output:
                texts.append(arguments)
            else:
                calls.append(ToolCall(id=part.tool_call_id, name=part.tool_name, arguments=arguments))
    if refusal and not texts:
        texts.append(str(details.get("refusal") or ""))
    message = Message.assistant("".join(texts), tuple(calls), tuple(images))
    reasoning = "".join(thoughts)
    return ModelResponse(
        message=message.model_copy(update={"provider_data": kept(response, message, mark)}),
        finish=_finish(response, refusal=refusal, calls=bool(calls)),
        usage=plausible(_usage(response, priced=priced), request, message, reasoning),
        model=response.model_name or "",
        reasoning=reasoning,
    )


def _finish(response: ForeignResponse, *, refusal: bool, calls: bool) -> Finish:
    if refusal:
        return "refusal"
    if response.finish_reason == "length":
        return "length"
    if response.finish_reason == "content_filter":
        return "content_filter"
    return "tool_calls" if calls else "stop"


def _usage(response: ForeignResponse, *, priced: bool) -> Usage:
    told = response.usage
    cost = _cost(response) if priced else None
    return Usage(
        calls=1,
        # No prompt is empty, and no text took no tokens.
        input_tokens=told.input_tokens or NOT_REPORTED,
        cached_input_tokens=told.cache_read_tokens,
        output_tokens=told.output_tokens or NOT_REPORTED,
        reasoning_tokens=told.output_reasoning_tokens,
        cost_usd=cost,
    )


def _cost(response: ForeignResponse) -> float | None:
    """Return what the response cost, with what was written to a cache; None if that is not known."""
    if not response.model_name or not response.usage.input_tokens:
        return None
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError):
        return None
