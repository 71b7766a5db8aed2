"""The bodies and events of the Messages API that go out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ...decisions import PendingCall
from ...result import RunResult
from ..deltas import FinishReason

StopReason = Literal["end_turn", "max_tokens", "tool_use"]
# Clients send a thought back only with a signature, and some warn where there is none. Nobody reads what it says.
SIGNATURE = "Y29udGVtcGxhdGU="


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class TextBlock(_Body):
    """A text of the answer."""

    type: Literal["text"] = "text"
    text: str
    citations: None = None


class ThinkingBlock(_Body):
    """Progress, and what models thought aloud."""

    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str


class ToolUseBlock(_Body):
    """A call of one of the client's tools."""

    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: dict[str, JsonValue]

    @classmethod
    def of(cls, call: PendingCall) -> ToolUseBlock:
        """Return `call` in the API's terms."""
        return cls(id=call.id, name=call.tool, input=call.arguments)


Block = Annotated[TextBlock | ThinkingBlock | ToolUseBlock, Field(discriminator="type")]


class RunUsage(_Body):
    """The tokens of all calls of a run."""

    calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: float | None


class MessageUsage(_Body):
    """The tokens of a message, as clients reckon with them.

    Clients take the input for what the conversation fills of a context window, and shorten it when that is much. So it
    is the size of what the client sent: by the estimate, or as a server counted it, where one call answered.
    `contemplate` is an addition to the API: what all calls used.
    """

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int
    contemplate: RunUsage | None = Field(default=None, exclude_if=lambda value: value is None)

    @classmethod
    def of(cls, prompt: int, result: RunResult[Any]) -> MessageUsage:
        """Return what a run used that answered a prompt of `prompt` tokens."""
        usage = result.usage
        counted = usage.calls == 1 and len(result.tasks) == 1
        cached = usage.cached_input_tokens if counted else 0
        return cls(
            input_tokens=usage.input_tokens - cached if counted else prompt,
            cache_read_input_tokens=cached,
            output_tokens=usage.output_tokens,
            contemplate=RunUsage.model_validate(usage.model_dump(include=set(RunUsage.model_fields))),
        )


class MessageBody(_Body):
    """A message: whole, or as it begins."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: tuple[Block, ...] = ()
    stop_reason: StopReason | None = None
    stop_sequence: None = None
    usage: MessageUsage


def stop_reason(result: RunResult[Any], finish: FinishReason) -> StopReason:
    """Return why a message ends.

    What a limit of the contemplator's shortened has ended by itself: clients raise their own limit, and ask again,
    where it is the client's limit that ended it.
    """
    if finish == "tool_calls":
        return "tool_use"
    return "max_tokens" if finish == "length" and result.stopped_by is None else "end_turn"


class MessageStart(_Body):
    """The first event."""

    type: Literal["message_start"] = "message_start"
    message: MessageBody


class BlockStart(_Body):
    """A block begins."""

    type: Literal["content_block_start"] = "content_block_start"
    index: int
    content_block: Block


class TextDelta(_Body):
    """More of a text."""

    type: Literal["text_delta"] = "text_delta"
    text: str


class ThinkingDelta(_Body):
    """More of what is thought."""

    type: Literal["thinking_delta"] = "thinking_delta"
    thinking: str


class SignatureDelta(_Body):
    """The end of what is thought."""

    type: Literal["signature_delta"] = "signature_delta"
    signature: str = SIGNATURE


class InputJsonDelta(_Body):
    """More of a call's arguments, as JSON text."""

    type: Literal["input_json_delta"] = "input_json_delta"
    partial_json: str


class BlockDelta(_Body):
    """More of a block."""

    type: Literal["content_block_delta"] = "content_block_delta"
    index: int
    delta: Annotated[TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta, Field(discriminator="type")]


class BlockStop(_Body):
    """A block is whole."""

    type: Literal["content_block_stop"] = "content_block_stop"
    index: int


class StopDelta(_Body):
    """Why the message ends."""

    stop_reason: StopReason
    stop_sequence: None = None


class MessageDelta(_Body):
    """The message's end, and what it used."""

    type: Literal["message_delta"] = "message_delta"
    delta: StopDelta
    usage: MessageUsage


class MessageStop(_Body):
    """The last event."""

    type: Literal["message_stop"] = "message_stop"


class Ping(_Body):
    """The connection is well."""

    type: Literal["ping"] = "ping"


class TokenCount(_Body):
    """How many tokens a prompt has, by the estimate."""

    input_tokens: int


class ModelCard(_Body):
    """A contemplator, as a model."""

    type: Literal["model"] = "model"
    id: str
    display_name: str
    created_at: datetime
    lifecycle: Literal["active"] = "active"


class ModelCards(_Body):
    """All contemplators."""

    data: tuple[ModelCard, ...]
    has_more: Literal[False] = False
    first_id: str | None
    last_id: str | None
