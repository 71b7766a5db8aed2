"""The JSON of chat completions, whole or in chunks, and the errors for invalid ones.

Only the fields that are used are decoded; others are ignored.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, WrapValidator


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


def _or_none(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    """Return None for what cannot be read: no answer is lost for odd numbers beside it."""
    try:
        return validate(value)
    except ValidationError:
        return None


_OrNone = WrapValidator(_or_none)
_Count = Annotated[int | None, _OrNone]


class _InputDetails(_Json):
    cached_tokens: _Count = None


class _OutputDetails(_Json):
    reasoning_tokens: _Count = None


class CompletionUsage(_Json):
    """The token counts of a completion, and its cost if the server reports one."""

    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    prompt_tokens_details: Annotated[_InputDetails | None, _OrNone] = None
    completion_tokens_details: Annotated[_OutputDetails | None, _OrNone] = None
    cost: Annotated[float | None, _OrNone] = None


class Completion(_Json):
    """A whole completion (`message`), or a chunk of a stream (`delta`), or an error."""

    model: str | None = None
    choices: list[_Choice] = []
    usage: Annotated[CompletionUsage | None, _OrNone] = None
    error: Any = None


class BadCompletion(ValueError):
    """What the server sent is not a chat completion."""


class ReportedError(BadCompletion):
    """The server sent an error instead of a completion."""


class CutOff(BadCompletion):
    """The response ended before it was complete."""
