"""Conversations: the items so far, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from ...decisions import Returned
from ...images import image_from_url
from ...messages import ImagePart, TextPart, ToolCall
from ...messages import Message as Said
from .items import FunctionCall, FunctionCallOutput, Item, Message
from .parts import Api, InputImage


class ConversationResource(Api):
    """A conversation, as clients see it."""

    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: dict[str, str] = Field(default={})


class Conversation(ConversationResource):
    """A conversation with its items, oldest first."""

    items: tuple[Item, ...] = ()


def as_messages(items: Iterable[Item]) -> list[Said]:
    """Return the messages that items stand for: calls belong to the message before them."""
    said: list[Said] = []
    for item in items:
        match item:
            case Message():
                said.append(_message(item))
            case FunctionCall():
                before = said.pop() if said and said[-1].role == "assistant" else Said.assistant("")
                call = ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)
                said.append(before.model_copy(update={"tool_calls": (*before.tool_calls, call)}))
            case FunctionCallOutput():
                said.append(Said.tool(item.call_id, item.text, item.images))
    return said


def returned(items: Sequence[Item]) -> dict[str, Returned]:
    """Return what the client's tools returned since the user last spoke, by the ids of their calls."""
    found: dict[str, Returned] = {}
    for item in reversed(items):
        if isinstance(item, Message) and item.role == "user":
            break
        if isinstance(item, FunctionCallOutput):
            found.setdefault(item.call_id, Returned(item.text, images=item.images))
    return found


def _message(item: Message) -> Said:
    images: tuple[ImagePart, ...] = tuple(
        image_from_url(part.image_url) for part in item.content if isinstance(part, InputImage)
    )
    texts = [part.text for part in item.content if not isinstance(part, InputImage)]
    words = (TextPart(text="\n".join(texts)),) if texts else ()
    return Said(role="system" if item.role == "developer" else item.role, parts=(*images, *words))
