"""A response, as clients see it: https://www.openresponses.org/specification wants all of its fields, always."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from time import time
from typing import Literal

from pydantic import Field

from ...usage import Usage
from .items import OutputItem
from .parts import Api, is_none
from .schema import ConversationId, FunctionTool, ReasoningOptions, ResponsesRequest, TextOptions, ToolChoice

ResponseStatus = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]

# Marks in the metadata are ours where they begin so.
STOPPED_BY = "contemplate:stopped_by"
ERROR = "contemplate:error"


class InputDetails(Api):
    """Where the prompt's tokens came from."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(Api):
    """What the written tokens were spent on."""

    reasoning_tokens: int


class ApiUsage(Api):
    """The tokens of all calls of a run."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> ApiUsage:
        """Return `usage` in the API's terms."""
        return cls(
            input_tokens=usage.input_tokens,
            input_tokens_details=InputDetails(cached_tokens=usage.cached_input_tokens),
            output_tokens=usage.output_tokens,
            output_tokens_details=OutputDetails(reasoning_tokens=usage.reasoning_tokens),
            total_tokens=usage.total_tokens,
        )


class ApiError(Api):
    """Why there is no answer."""

    code: ErrorCode
    message: str


class IncompleteDetails(Api):
    """Why the answer is not whole."""

    reason: Literal["max_output_tokens"]


class Response(Api):
    """A response, which may still be in the making."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: ResponseStatus
    error: ApiError | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    instructions: str | None
    previous_response_id: str | None
    conversation: ConversationId | None = Field(default=None, exclude_if=is_none)
    output: tuple[OutputItem, ...] = ()
    usage: ApiUsage | None = None

    tools: tuple[FunctionTool, ...]
    tool_choice: ToolChoice
    parallel_tool_calls: bool
    max_tool_calls: int | None
    max_output_tokens: int | None
    text: TextOptions
    reasoning: ReasoningOptions
    truncation: Literal["auto", "disabled"]
    temperature: float
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int = 0
    service_tier: Literal["default"] = "default"
    store: bool
    background: bool
    metadata: dict[str, str]
    user: str | None = Field(default=None, exclude_if=is_none)
    safety_identifier: str | None
    prompt_cache_key: str | None

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status not in ("queued", "in_progress")


def new_response(body: ResponsesRequest, tools: Sequence[FunctionTool]) -> Response:
    """Return the response to `body`, of which nothing is there yet."""
    said = {name: getattr(body, name) for name in Response.model_fields if name in ResponsesRequest.model_fields}
    return Response.model_construct(
        **{
            **said,
            "id": f"resp_{uuid.uuid4().hex}",
            "created_at": int(time()),
            "status": "queued" if body.background else "in_progress",
            "tools": tuple(tools),
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "top_logprobs": 0,
        }
    )
