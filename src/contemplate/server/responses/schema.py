"""The body of a request: https://platform.openai.com/docs/api-reference/responses/create.

A field that would change the form of the answer is refused where it asks for what is not supported. One that only tunes
the answer is ignored, and so is every field that is not known, and every tool that is no function.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue
from pydantic_core import PydanticCustomError

from ..api_errors import UNSUPPORTED
from .item_input import InputItem, as_items
from .items import JsonObject
from .parts import Api

_LOGPROBS = "message.output_text.logprobs"
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
ENCRYPTED = "reasoning.encrypted_content"


class TextFormat(Api):
    """The answer is text."""

    type: Literal["text"] = "text"


class JsonFormat(Api):
    """The answer is a JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Api):
    """The answer is JSON with a schema."""

    type: Literal["json_schema"]
    name: str = "output"
    description: str | None = None
    schema_: JsonObject = Field(alias="schema", serialization_alias="schema")
    strict: Annotated[bool, BeforeValidator(bool)] = False


Format = Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")]


class TextOptions(Api):
    """The form of the answer."""

    format: Annotated[Format, BeforeValidator(lambda value: value or {"type": "text"})] = TextFormat()
    verbosity: Literal["low", "medium", "high"] = "medium"


class ReasoningOptions(Api):
    """How much to think, and what to tell of it."""

    effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None,
        BeforeValidator(lambda value: value if value in _EFFORTS else None),
    ] = None
    summary: Annotated[
        Literal["auto", "concise", "detailed"] | None,
        BeforeValidator(lambda value: value if value in ("auto", "concise", "detailed") else None),
    ] = None


class FunctionTool(Api):
    """A tool of the client's."""

    type: Literal["function"] = "function"
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class NamedTool(Api):
    """The tool that is to be called."""

    type: Literal["function"]
    name: str


class AllowedTools(Api):
    """The tools that may be called, or one of which is to be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: tuple[JsonObject, ...]


ToolChoice = Literal["auto", "none", "required"] | NamedTool | AllowedTools


class MultiAgent(Api):
    """Whether the client wants to know what each agent does."""

    enabled: bool


class ConversationId(Api):
    """Which conversation it is."""

    id: str


def _functions(value: Any) -> Any:
    """Return the functions among tools: others run on a server that has them."""
    if not isinstance(value, list):
        return () if value is None else value
    return [each for each in value if not isinstance(each, dict) or each.get("type", "function") == "function"]


def _choice(value: Any) -> Any:
    if isinstance(value, dict) and value.get("type") not in ("function", "allowed_tools"):
        return "auto"
    return "auto" if value is None else value


def _without_logprobs(value: tuple[str, ...]) -> tuple[str, ...]:
    if _LOGPROBS in value:
        raise PydanticCustomError(UNSUPPORTED, "{name} is not supported", {"name": _LOGPROBS})
    return value


def _unsupported(value: JsonValue) -> JsonValue:
    if value:
        raise PydanticCustomError(UNSUPPORTED, "not supported")
    return value


def _or(default: Any) -> BeforeValidator:
    return BeforeValidator(lambda value: default if value is None else value)


class Input(Api):
    """What the tokens of a request are counted of."""

    model: str = ""
    input: Annotated[tuple[InputItem, ...], BeforeValidator(as_items), _or(())] = ()
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: Annotated[
        ConversationId | None, BeforeValidator(lambda value: {"id": value} if isinstance(value, str) else value)
    ] = None
    tools: Annotated[tuple[FunctionTool, ...], BeforeValidator(_functions)] = ()
    tool_choice: Annotated[ToolChoice, BeforeValidator(_choice)] = "auto"
    text: Annotated[TextOptions, _or(TextOptions())] = TextOptions()


class ResponsesRequest(Input):
    """What a client asks for."""

    model: str
    stream: bool | None = None
    background: Annotated[bool, _or(False)] = False
    store: Annotated[bool, _or(True)] = True
    include: Annotated[tuple[str, ...], AfterValidator(_without_logprobs), _or(())] = ()

    parallel_tool_calls: Annotated[bool, _or(True)] = True
    max_tool_calls: int | None = None
    max_output_tokens: int | None = Field(default=None, gt=0)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: Annotated[float, _or(0.0)] = 0.0
    frequency_penalty: Annotated[float, _or(0.0)] = 0.0
    reasoning: Annotated[ReasoningOptions, _or(ReasoningOptions())] = ReasoningOptions()
    truncation: Annotated[Literal["auto", "disabled"], _or("disabled")] = "disabled"

    metadata: Annotated[dict[str, str], _or({})] = Field(default={})
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    multi_agent: MultiAgent | None = None

    top_logprobs: Annotated[JsonValue, AfterValidator(_unsupported)] = None
    prompt: Annotated[JsonValue, AfterValidator(_unsupported)] = None
