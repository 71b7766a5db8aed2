"""The JSON of chat completions, whole or in chunks, and the errors for invalid ones.

Only the fields that are used are decoded; others are ignored.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Json(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Function(_Json):
    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(_Json):
    """A tool call, or a piece of one; `index` or `id` identifies the call within a stream."""

    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class MessagePiece(_Json):
    """A message, or a piece of one."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallPiece] | None = None
    images: Any = None


class TopLogprob(_Json):
    """A likely token, with its log-probability."""

    token: str
    logprob: float


class Logprob(TopLogprob):
    """A generated token, with the likely alternatives."""

    top_logprobs: list[TopLogprob] = []


class Logprobs(_Json):
    """The log-probabilities of a choice's tokens."""

    content: list[Logprob] | None = None


class _Choice(_Json):
    message: MessagePiece | None = None
    delta: MessagePiece | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class _InputDetails(_Json):
    cached_tokens: int | None = None


class _OutputDetails(_Json):
    reasoning_tokens: int | None = None


class CompletionUsage(_Json):
    """The token counts of a completion, and its cost if the server reports one."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    cost: float | None = None


class Completion(_Json):
    """A whole completion (`message`), or a chunk of a stream (`delta`), or an error."""

    model: str | None = None
    choices: list[_Choice] = []
    usage: CompletionUsage | None = None
    error: Any = None


class BadCompletion(ValueError):
    """What the server sent is not a chat completion."""


class ReportedError(BadCompletion):
    """The server sent an error instead of a completion."""


class CutOff(BadCompletion):
    """The response ended before it was complete."""
