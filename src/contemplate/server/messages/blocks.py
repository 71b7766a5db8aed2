"""The blocks of a message's content, as what they say.

What another server's model thought, and the calls of tools that it ran itself, are no part of what was said: a client
that sends them back is not refused, and they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ...data import to_json_text
from ...images import image_from_url
from ...messages import ImagePart, TextPart, ToolCall
from ..api_errors import UNSUPPORTED

_LEFT_OUT = frozenset({"thinking", "redacted_thinking", "server_tool_use", "mcp_tool_use"})
_FIELDS = {
    "text": "a text in its field text",
    "image": "an object in its field source",
    "tool_use": "a text in each of its fields id and name, and an object in its field input",
    "tool_result": "a text in its field tool_use_id",
}
_BLOCK: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"type": {"type": "string"}},
    "required": ["type"],
}
_HINTS = {"document": ": send its text in a text block, or its pages as images"}


@dataclass(frozen=True, slots=True)
class ToolReturn:
    """What a tool of the client's returned.

    Args:
        id: the call's.
        text: the result, or why the call failed.
        images: those of the result.
        failed: whether the call failed.
    """

    id: str
    text: str
    images: tuple[ImagePart, ...] = ()
    failed: bool = False


Block = TextPart | ImagePart | ToolCall | ToolReturn


def _listed(value: Any) -> Any:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _block(value: Any) -> Block | None:
    match value:
        case {"type": "text", "text": str(text)}:
            return TextPart(text=text)
        case {"type": "image", "source": dict(source)}:
            return _image(source)
        case {"type": "tool_use", "id": str(id_), "name": str(name), "input": dict(arguments)}:
            return ToolCall(id=id_, name=name, arguments=to_json_text(arguments))
        case {"type": "tool_result", "tool_use_id": str(id_)}:
            said = list(_returned(value.get("content")))
            text = "\n".join(each.text for each in said if isinstance(each, TextPart))
            images = tuple(each for each in said if isinstance(each, ImagePart))
            return ToolReturn(id_, text, images, bool(value.get("is_error")))
        case {"type": str(kind)} if kind in _FIELDS:
            lacks = {"kind": kind, "fields": _FIELDS[kind]}
            raise PydanticCustomError("block", "a block of type {kind} needs {fields}", lacks)
        case {"type": str(kind)} if kind in _LEFT_OUT or kind.endswith("_tool_result"):
            return None
        case {"type": str(kind)}:
            said_of_it = {"kind": kind, "hint": _HINTS.get(kind, "")}
            raise PydanticCustomError(UNSUPPORTED, "blocks of type {kind} are not supported{hint}", said_of_it)
    raise PydanticCustomError("block", "a block must be an object with a type")


def _returned(content: Any) -> Iterator[TextPart | ImagePart]:
    """Parse the content of a tool's result: a text, blocks, or nothing."""
    blocks = _listed([] if content is None else content)
    if not isinstance(blocks, list):
        raise PydanticCustomError("block", "the content of a tool's result must be a text or a list of blocks")
    for value in blocks:
        match value:
            case {"type": "tool_reference", "tool_name": str(name)}:
                yield TextPart(text=name)
                continue
            case {"type": "tool_use" | "tool_result"}:
                raise PydanticCustomError("block", "a tool's result cannot hold calls or results")
        block = _block(value)
        if isinstance(block, TextPart | ImagePart):
            yield block


def _image(source: Mapping[str, Any]) -> ImagePart:
    match source:
        case {"type": "base64", "media_type": str(media_type), "data": str(data)}:
            url = f"data:{media_type};base64,{data}"
        case {"type": "url", "url": str(url)}:
            pass
        case {"type": "file"}:
            raise PydanticCustomError(UNSUPPORTED, "images from the Files API are not supported: send base64 or a URL")
        case _:
            raise PydanticCustomError("image", "an image needs a source of type base64 (media_type, data) or url (url)")
    try:
        return image_from_url(url)
    except ValueError as error:
        raise PydanticCustomError("image", f"source: {error}") from None


# A text, or blocks; None stands for what is left out.
Content = Annotated[
    tuple[Annotated[Block | None, PlainValidator(_block)], ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _BLOCK}]}),
]
