"""The bodies of the chat completions API: https://platform.openai.com/docs/api-reference/chat.

A field that would change the form of the answer is refused where it asks for what is not supported. One that only
tunes the answer is ignored, and so is every field that is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from ...data import to_json_text
from ...decisions import PendingCall
from ...images import image_from_url
from ...messages import ImagePart, Part, TextPart
from ...usage import Usage
from ..api_errors import UNSUPPORTED, Failure
from ..deltas import FinishReason
from ..effort import Effort

MOST_ANSWERS = 16


class _RequestPart(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class _ResponsePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def _part(value: Any) -> TextPart | ImagePart:
    match value:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return TextPart(text=text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            try:
                return image_from_url(url)
            except ValueError as error:
                raise PydanticCustomError("image_url", f"image_url.url: {error}") from None
        case {"type": "image_url"}:
            raise PydanticCustomError("image_url", "a part of type image_url needs a URL in image_url.url")
        case {"type": "text" | "refusal" as kind}:
            raise PydanticCustomError("text", "a part of type {kind} needs a text in its field {kind}", {"kind": kind})
        case {"type": str(kind)}:
            said = "parts of type {kind} are not supported: send text, or image_url"
            raise PydanticCustomError(UNSUPPORTED, said, {"kind": kind})
    raise PydanticCustomError("part", "a part must be an object with a type")


def _parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    return [] if value is None else value


def _only(*supported: JsonValue, hint: str = "") -> AfterValidator:
    def check(value: JsonValue) -> JsonValue:
        if value is not None and value not in supported:
            raise PydanticCustomError(UNSUPPORTED, "not supported yet{hint}", {"hint": hint and f": {hint}"})
        return value

    return AfterValidator(check)


class Function(BaseModel):
    """A function that is called, with its arguments as JSON text."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    arguments: str


class ToolCall(BaseModel):
    """A tool call."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    type: Literal["function"] = "function"
    function: Function

    @classmethod
    def of(cls, call: PendingCall) -> ToolCall:
        """Return `call` in the API's terms."""
        return cls(id=call.id, function=Function(name=call.tool, arguments=to_json_text(call.arguments)))


class ToolCallDelta(ToolCall):
    """A tool call in a chunk, whole."""

    index: int

    @classmethod
    def all_of(cls, calls: Sequence[PendingCall]) -> tuple[ToolCallDelta, ...]:
        """Return `calls` in the API's terms."""
        return tuple(cls(index=place, **dict(ToolCall.of(call))) for place, call in enumerate(calls))


class ChatMessage(_RequestPart):
    """A message of the conversation so far."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[tuple[Annotated[Part, BeforeValidator(_part)], ...], BeforeValidator(_parts)] = ()
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None


class TextFormat(_RequestPart):
    """The answer is text."""

    type: Literal["text"]


class JsonFormat(_RequestPart):
    """The answer is a JSON object."""

    type: Literal["json_object"]


class AnswerSchema(_RequestPart):
    """A schema with its name."""

    name: str = "output"
    schema_: dict[str, JsonValue] = Field(alias="schema", default={})


class SchemaFormat(_RequestPart):
    """The answer is JSON with a schema."""

    type: Literal["json_schema"]
    json_schema: AnswerSchema


class FunctionSpec(_RequestPart):
    """A function of the client's."""

    name: str
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None


class ToolSpec(_RequestPart):
    """A tool of the client's."""

    type: Annotated[str, _only("function")]
    function: FunctionSpec


class _Named(_RequestPart):
    name: str


class NamedTool(_RequestPart):
    """The tool that is to be called."""

    type: Annotated[str, _only("function")]
    function: _Named


class StreamOptions(_RequestPart):
    """What a stream is to hold."""

    include_usage: bool | None = None


class ChatRequest(_RequestPart):
    """What a client asks for."""

    model: str
    messages: tuple[ChatMessage, ...] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    max_completion_tokens: int | None = Field(default=None, gt=0)
    stop: str | tuple[str, ...] | None = None
    seed: int | None = None
    reasoning_effort: Effort | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = Field(default=None, discriminator="type")
    metadata: dict[str, str] | None = None
    user: str | None = None

    n: int | None = Field(default=None, ge=1, le=MOST_ANSWERS)
    tools: tuple[ToolSpec, ...] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[JsonValue, _only([], hint="use tools, which took its place")] = None
    function_call: Annotated[JsonValue, _only("none", "auto", hint="use tool_choice, which took its place")] = None
    logprobs: Annotated[JsonValue, _only(False, hint="an answer rests on many calls")] = None
    top_logprobs: Annotated[JsonValue, _only(0, hint="an answer rests on many calls")] = None
    audio: Annotated[JsonValue, _only()] = None
    modalities: Annotated[JsonValue, _only(["text"])] = None


class ApiError(_ResponsePart):
    """What went wrong. `param` names the field of the request at fault, `code` the error for programs."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(_ResponsePart):
    """An error as a body, or as an event of a stream."""

    error: ApiError

    @classmethod
    def of(cls, failure: Failure) -> ErrorBody:
        """Return `failure` in the API's terms."""
        said = ApiError(message=failure.message, type=failure.type, param=failure.param, code=failure.code)
        return cls(error=said)


class InputDetails(_ResponsePart):
    """Where the prompt's tokens came from."""

    cached_tokens: int


class OutputDetails(_ResponsePart):
    """What the completion's tokens were spent on."""

    reasoning_tokens: int


class ApiUsage(_ResponsePart):
    """The tokens of all calls of a run."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: InputDetails
    completion_tokens_details: OutputDetails

    @classmethod
    def of(cls, usage: Usage) -> ApiUsage:
        """Return `usage` in the API's terms."""
        return cls(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            prompt_tokens_details=InputDetails(cached_tokens=usage.cached_input_tokens),
            completion_tokens_details=OutputDetails(reasoning_tokens=usage.reasoning_tokens),
        )


def _is_none(value: object) -> bool:
    return value is None


class ImageUrl(_ResponsePart):
    """Where an image is: a `data:` URL, or one of http(s)."""

    url: str


class Image(_ResponsePart):
    """An image of the answer. OpenAI's own API has none in chat completions; this is OpenRouter's form."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl
    index: int

    @classmethod
    def all_of(cls, images: Sequence[ImagePart]) -> tuple[Image, ...] | None:
        """Return `images` in the API's terms; None if there are none."""
        return tuple(cls(image_url=ImageUrl(url=each.as_url()), index=i) for i, each in enumerate(images)) or None


class Delta(_ResponsePart):
    """What a chunk adds."""

    role: Literal["assistant"] | None = Field(default=None, exclude_if=_is_none)
    content: str | None = Field(default=None, exclude_if=_is_none)
    reasoning_content: str | None = Field(default=None, exclude_if=_is_none)
    images: tuple[Image, ...] | None = Field(default=None, exclude_if=_is_none)
    tool_calls: tuple[ToolCallDelta, ...] | None = Field(default=None, exclude_if=_is_none)


class ChunkChoice(_ResponsePart):
    """What a chunk adds to an answer."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class Chunk(_ResponsePart):
    """An event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: tuple[ChunkChoice, ...] = ()
    usage: ApiUsage | None = Field(default=None, exclude_if=_is_none)


class AssistantMessage(_ResponsePart):
    """The message of a whole completion."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    reasoning_content: str | None = Field(default=None, exclude_if=_is_none)
    images: tuple[Image, ...] | None = Field(default=None, exclude_if=_is_none)
    tool_calls: tuple[ToolCall, ...] | None = Field(default=None, exclude_if=_is_none)
    refusal: None = None


class Choice(_ResponsePart):
    """One answer of a completion."""

    index: int = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: FinishReason


class Completion(_ResponsePart):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: ApiUsage


class ModelCard(_ResponsePart):
    """A contemplator, as a model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "contemplate"


class ModelList(_ResponsePart):
    """All contemplators."""

    object: Literal["list"] = "list"
    data: tuple[ModelCard, ...]
