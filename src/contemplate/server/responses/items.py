"""Items: messages, calls of the client's tools and what they returned, reasoning. In a request, and in a response.

A kind of item that is not known is ignored where nothing of the conversation is lost by that: what a server's own tools
did, and how a model reasoned.
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from ...data import Text, to_json_text
from ...images import image_from_url
from ..api_errors import UNSUPPORTED

Status = Literal["in_progress", "completed", "incomplete"]
Phase = Literal["commentary", "final_answer"]
JsonObject = dict[str, JsonValue]

_HARMLESS = re.compile(r"reasoning|compaction\w*|item_\w+|\w+_(call|call_output|output|list_tools|response|request)")
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "image_generation_call": "ig",
}


def is_none(value: object) -> bool:
    """Return whether `value` is None: a field that is then left out."""
    return value is None


class Api(BaseModel):
    """The base of what is sent and taken: frozen, and without what is not known."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class InputText(Api):
    """A text that a client wrote."""

    type: Literal["input_text"] = "input_text"
    text: Text


class InputImage(Api):
    """An image, by its URL."""

    type: Literal["input_image"] = "input_image"
    image_url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"


class OutputText(Api):
    """A text that a model wrote."""

    type: Literal["output_text"] = "output_text"
    text: Text
    annotations: tuple[()] = ()
    logprobs: tuple[()] = ()


class SummaryText(Api):
    """A text that tells how the work goes on."""

    type: Literal["summary_text"] = "summary_text"
    text: Text


def _file(name: str, data: str) -> str:
    """Return a file as text; one that holds none, by its name alone."""
    try:
        text = base64.b64decode(data.partition("base64,")[2] or data, validate=True).decode()
    except ValueError:
        return f"[file {name}, which cannot be read here]"
    return f"{name}:\n{text}"


def _part(value: Any, of_model: bool = False) -> Any:
    match value:
        case InputText() | InputImage() | OutputText():
            return value
        case {"type": "refusal", "refusal": str(text)}:
            return OutputText(text=text)
        case {"type": str(kind), "text": str(text)} if kind in _TEXTS:
            return OutputText(text=text) if of_model else InputText(text=text)
        case {"type": "input_image", "image_url": str(url)}:
            try:
                image_from_url(url)
            except ValueError as error:
                raise PydanticCustomError("image_url", f"image_url: {error}") from None
            return {"type": "input_image", "image_url": url, "detail": value.get("detail") or "auto"}
        case {"type": "input_file", "file_data": str(data)}:
            return InputText(text=_file(str(value.get("filename") or "file"), data))
        case {"type": "input_image"}:
            raise PydanticCustomError(UNSUPPORTED, "a part of type input_image needs a URL in image_url")
        case {"type": str(kind)} if kind in _TEXTS:
            raise PydanticCustomError("text", "a part of type {kind} needs a text", {"kind": kind})
        case {"type": str(kind)}:
            raise PydanticCustomError(UNSUPPORTED, "parts of type {kind} are not supported", {"kind": kind})
    raise PydanticCustomError("part", "a part must be an object with a type")


def _parts(value: Any) -> Any:
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value


class Message(Api):
    """A message. `phase` says whether one of a model is its answer, or was said before it called tools."""

    type: Literal["message"] = "message"
    id: str = ""
    status: Status = "completed"
    role: Literal["user", "assistant", "system", "developer"]
    content: tuple[InputText | InputImage | OutputText, ...]
    phase: Phase | None = Field(default=None, exclude_if=is_none)


class FunctionCall(Api):
    """A call of one of the client's tools."""

    type: Literal["function_call"] = "function_call"
    id: str = ""
    call_id: Text
    name: Text
    arguments: Text
    status: Status = "completed"


class FunctionCallOutput(Api):
    """What a tool of the client's returned."""

    type: Literal["function_call_output"] = "function_call_output"
    id: str = ""
    call_id: Text
    output: (
        Text | Annotated[tuple[Annotated[InputText | InputImage, BeforeValidator(_part)], ...], BeforeValidator(_parts)]
    )
    status: Status = "completed"

    @property
    def text(self) -> str:
        """What it returned, as text."""
        if isinstance(self.output, str):
            return self.output
        return "\n".join(part.text if isinstance(part, InputText) else "[image]" for part in self.output)


class Reasoning(Api):
    """How the work went on."""

    type: Literal["reasoning"] = "reasoning"
    id: str = ""
    summary: tuple[SummaryText, ...] = ()
    encrypted_content: str | None = Field(default=None, exclude_if=is_none)
    status: Status | None = Field(default=None, exclude_if=is_none)


class GeneratedImage(Api):
    """An image of the answer; `result` is its content in base64."""

    type: Literal["image_generation_call"] = "image_generation_call"
    id: str = ""
    status: Literal["completed"] = "completed"
    result: str


class ItemReference(Api):
    """An item that the server has stored."""

    type: Literal["item_reference"] = "item_reference"
    id: str


class Ignored(Api):
    """An item of which nothing is needed."""

    type: Literal["ignored"] = "ignored"


# Those of a conversation.
Item = Annotated[Message | FunctionCall | FunctionCallOutput | Reasoning | GeneratedImage, Field(discriminator="type")]
OutputItem = Annotated[Message | FunctionCall | Reasoning | GeneratedImage, Field(discriminator="type")]


def _as_item(value: Any) -> Any:
    match value:
        case {"type": "function_call" | "function_call_output"}:
            return _without_nulls(value)
        case {"type": "custom_tool_call", "input": str(text)}:
            return {**value, "type": "function_call", "arguments": to_json_text({"input": text}), "status": "completed"}
        case {"type": "custom_tool_call_output"}:
            return {**value, "type": "function_call_output", "status": "completed"}
        case {"type": "item_reference" | None, "id": str(id_)} if "role" not in value:
            return ItemReference(id=id_)
        case {"role": str(role)} if value.get("type") in ("message", None):
            return _without_nulls(value) | {"type": "message", "content": _content(value, role)}
        case {"type": str(kind)} if kind != "message" and _HARMLESS.fullmatch(kind):
            return Ignored()
    return _refused(value)


def _refused(value: Any) -> Any:
    match value:
        case BaseModel():
            return value
        case {"type": "message"}:
            raise PydanticCustomError("item", "a message needs a role")
        case {"type": str(kind)}:
            raise PydanticCustomError(UNSUPPORTED, "items of type {kind} are not supported", {"kind": kind})
        case {"id": str(id_)}:
            return ItemReference(id=id_)
    raise PydanticCustomError("item", "an item must be an object with a type")


def _content(value: dict[str, Any], role: str) -> Any:
    parts = value.get("content")
    if parts is None:
        return ()
    return [_part(each, role == "assistant") for each in _parts(parts)] if isinstance(parts, str | list) else parts


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if each is not None}


InputItem = Annotated[
    Annotated[Message | FunctionCall | FunctionCallOutput | ItemReference | Ignored, Field(discriminator="type")],
    BeforeValidator(_as_item),
]


def as_items(value: Any) -> Any:
    """Return the items of an input, which may be a text alone."""
    return [{"type": "message", "role": "user", "content": value}] if isinstance(value, str) else value


def with_id(item: Any, owner: str, number: str) -> Any:
    """Return an item with an id that says whose it is, unless it has one."""
    if item.id:
        return item
    return item.model_copy(update={"id": f"{_PREFIXES[item.type]}_{owner}{number}"})


def item_id(kind: str, owner: str, number: int) -> str:
    """Return the id of the item `number` of a response's output."""
    return f"{_PREFIXES[kind]}_{owner}o{number}"


def owner_of(item: str) -> str:
    """Return whose item has this id: of which response."""
    return item.partition("_")[2][:32]


class ItemList(Api):
    """Some of the items of a conversation, or of an input."""

    object: Literal["list"] = "list"
    data: tuple[Item, ...]
    first_id: str
    last_id: str
    has_more: bool
