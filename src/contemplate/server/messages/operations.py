"""What a client can ask for in this API, as its OpenAPI document tells it."""

from __future__ import annotations

from ..openapi import Operation
from .errors import ErrorBody
from .resource import MessageBody, TokenCount
from .schema import CountRequest, MessagesRequest

_BODY = (400, 404, 408, 413, 415)

OPERATIONS = (
    Operation(
        "POST",
        "/v1/messages",
        "Answer a conversation, whole or in a stream",
        MessageBody,
        MessagesRequest,
        events=True,
        error=ErrorBody,
        errors=(*_BODY, 422, 429, 500, 501, 502, 503, 504),
    ),
    Operation(
        "POST", "/v1/messages/count_tokens", "Count tokens", TokenCount, CountRequest, error=ErrorBody, errors=_BODY
    ),
)
