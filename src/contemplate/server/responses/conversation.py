"""Conversations: the items so far, and what they ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from ...decisions import Returned
from ...errors import ConfigurationError
from ...images import image_from_url
from ...messages import ImagePart, TextPart, ToolCall
from ...messages import Message as Said
from ...prompts import Prompts
from ...run.history import checked_history
from ..api_errors import invalid_request
from ..asked import Question
from .items import Api, FunctionCall, FunctionCallOutput, InputImage, Item, Message


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
                said.append(Said.tool(item.call_id, item.text))
    return said


def returned(items: Sequence[Item]) -> dict[str, Returned]:
    """Return what the client's tools returned, where nothing was said after it."""
    found: dict[str, Returned] = {}
    for item in reversed(items):
        if isinstance(item, FunctionCallOutput):
            found[item.call_id] = Returned(item.text)
        elif isinstance(item, Message | FunctionCall):
            break
    return dict(reversed(found.items()))


def as_question(said: Sequence[Said], prompts: Prompts) -> Question:
    """Return the question that messages ask, oldest message first, with `prompts` where it has no words.

    The last message of the user is the question. If more was said after it, what is asked is to go on.

    Raises:
        RequestError: there is no message of the user, the last one is empty, or a tool call has no result.
    """
    place = max((place for place, each in enumerate(said) if each.role == "user"), default=None)
    if place is None:
        raise invalid_request("input: there is no message of the user", param="input")
    asked = said[place]
    if not asked.text.strip() and not asked.images:
        raise invalid_request("input: the last message of the user is empty", param="input")
    try:
        if any(each.role != "system" for each in said[place + 1 :]):
            return Question(prompts.render("history_go_on"), (), checked_history(said))
        history = checked_history([*said[:place], *said[place + 1 :]])
    except ConfigurationError as error:
        raise invalid_request(f"input: {error.message}", param="input") from None
    return Question(asked.text if asked.text.strip() else prompts.render("image_question"), asked.images, history)


def _message(item: Message) -> Said:
    images: tuple[ImagePart, ...] = tuple(
        image_from_url(part.image_url) for part in item.content if isinstance(part, InputImage)
    )
    texts = [part.text for part in item.content if not isinstance(part, InputImage)]
    words = (TextPart(text="\n".join(texts)),) if texts else ()
    return Said(role="system" if item.role == "developer" else item.role, parts=(*images, *words))
