"""What the body of a chat completion asks."""

from __future__ import annotations

from typing import Any

from ...contemplator import Contemplator
from ...settings import ModelSettings
from ..asked import Asked
from ..json_output import any_object, json_output
from .conversation import as_question
from .schema import ChatRequest, JsonFormat, SchemaFormat


def asked_of(body: ChatRequest, mind: Contemplator[Any]) -> Asked:
    """Return what `body` asks `mind`.

    Raises:
        RequestError: there is no question in it, or its schema is none.
    """
    labels = dict(body.metadata or {}) | ({"user": body.user} if body.user else {})
    return Asked(
        mind,
        body.model,
        as_question(body.messages, mind.prompts),
        output_type=_output_type(body),
        settings=_settings(body),
        seed=body.seed,
        labels=labels,
    )


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
