"""Items as clients send them.

A kind of item that is not known is ignored where nothing of the conversation is lost by that: what a server's own tools
did, and how a model reasoned.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ...data import to_json_text
from ..api_errors import UNSUPPORTED
from .items import FunctionCall, FunctionCallOutput, Message
from .parts import Api, part_of, parts_of

_HARMLESS = re.compile(r"reasoning|agent_message|item_\w+|\w+_(call|call_output|output|list_tools|response|request)")


class ItemReference(Api):
    """An item that the server has stored."""

    type: Literal["item_reference"] = "item_reference"
    id: str


class Compaction(Api):
    """A conversation that was compacted, as the server that did it wrote it down."""

    type: Literal["compaction"] = "compaction"
    id: str = ""
    encrypted_content: str


class Ignored(Api):
    """An item of which nothing is needed."""

    type: Literal["ignored"] = "ignored"


def _as_item(value: Any) -> Any:
    match value:
        case {"type": "function_call" | "function_call_output"}:
            return _without_nulls(value)
        case {"type": "compaction" | "compaction_summary"}:
            return _without_nulls(value) | {"type": "compaction"}
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
    return [part_of(each, role == "assistant") for each in parts_of(parts)] if isinstance(parts, str | list) else parts


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if each is not None}


InputItem = Annotated[
    Annotated[
        Message | FunctionCall | FunctionCallOutput | ItemReference | Compaction | Ignored, Field(discriminator="type")
    ],
    BeforeValidator(_as_item),
]


def as_items(value: Any) -> Any:
    """Return the items of an input, which may be a text alone."""
    return [{"type": "message", "role": "user", "content": value}] if isinstance(value, str) else value
