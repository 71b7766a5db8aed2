"""The bodies of the Messages API that come in: https://platform.claude.com/docs/en/api/messages.

What only tunes the answer is ignored, and so is every field that is not known; tools that Anthropic's servers run, too.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from ...messages import ToolCall
from .blocks import Content, ToolReturn


class _RequestPart(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        # A field that is null is one that is not there.
        return {name: each for name, each in value.items() if each is not None} if isinstance(value, dict) else value


class SaidMessage(_RequestPart):
    """A message of the conversation so far."""

    role: Literal["user", "assistant", "system"]
    content: Content

    @model_validator(mode="after")
    def _check(self) -> SaidMessage:
        for kind, name, role in ((ToolCall, "tool_use", "assistant"), (ToolReturn, "tool_result", "user")):
            if self.role != role and any(isinstance(each, kind) for each in self.content):
                said = {"kind": name, "role": role}
                raise PydanticCustomError("block", "only messages of the role {role} hold blocks of type {kind}", said)
        return self


class ClientTool(_RequestPart):
    """A tool that the client runs."""

    name: str
    description: str = ""
    input_schema: dict[str, JsonValue]


def _own(tools: Any) -> Any:
    """Return those of `tools` that the client runs; only they have no type, or the type custom."""
    if not isinstance(tools, list):
        return tools
    return [each for each in tools if not isinstance(each, dict) or each.get("type") in (None, "custom")]


class ToolChoice(_RequestPart):
    """Whether tools must be called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class Thinking(_RequestPart):
    """Whether thoughts are wanted: `type` "disabled" and `display` "omitted" say that they are not."""

    type: str
    display: str | None = None

    @property
    def shown(self) -> bool:
        """Whether the client wants to see thoughts."""
        return self.type != "disabled" and self.display != "omitted"


class OutputFormat(_RequestPart):
    """The answer is JSON with a schema."""

    type: Literal["json_schema"]
    schema_: dict[str, JsonValue] = Field(alias="schema")


class OutputConfig(_RequestPart):
    """What the answer is to be."""

    effort: str | None = None
    format: OutputFormat | None = None


class Metadata(_RequestPart):
    """What the client says of its request."""

    user_id: str | None = None


class CountRequest(_RequestPart):
    """A prompt whose tokens are to be counted."""

    model: str
    messages: tuple[SaidMessage, ...] = Field(min_length=1)
    system: Content = ()
    tools: Annotated[tuple[ClientTool, ...], BeforeValidator(_own)] = ()


class MessagesRequest(CountRequest):
    """What a client asks for."""

    stream: bool = False
    max_tokens: int | None = Field(default=None, gt=0)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop_sequences: tuple[str, ...] = ()
    tool_choice: ToolChoice = ToolChoice(type="auto")
    thinking: Thinking = Thinking(type="disabled")
    output_config: OutputConfig = OutputConfig()
    # Where the format stood at first: older clients send it there.
    output_format: OutputFormat | None = None
    metadata: Metadata = Metadata()
    thread: JsonValue = None
