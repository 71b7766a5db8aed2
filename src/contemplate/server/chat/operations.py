"""What a client can ask for in this API, as its OpenAPI document tells it."""

from __future__ import annotations

from ..openapi import Operation
from .schema import ChatRequest, Completion, ErrorBody, ModelCard, ModelList

OPERATIONS = (
    Operation(
        "POST",
        "/v1/chat/completions",
        "Answer a conversation, whole or in a stream",
        Completion,
        ChatRequest,
        events=True,
        error=ErrorBody,
        errors=(400, 404, 408, 413, 415, 422, 429, 500, 501, 502, 503, 504),
    ),
    Operation("GET", "/v1/models", "List the contemplators", ModelList, error=ErrorBody),
    Operation("GET", "/v1/models/{model:path}", "Return one contemplator", ModelCard, error=ErrorBody, errors=(404,)),
)
