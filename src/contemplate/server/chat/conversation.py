"""The messages of a request, and what the client's tools returned."""

from __future__ import annotations

from collections.abc import Sequence

from ...decisions import Returned
from ...messages import ImagePart, Message, TextPart, ToolCall
from ...prompts import Prompts
from ..neutral_request import Question
from ..questions import question_of
from .schema import ChatMessage


def as_question(messages: Sequence[ChatMessage], prompts: Prompts) -> Question:
    """Return the question that `messages` ask, oldest message first, with `prompts` where it has no words.

    Raises:
        RequestError: there is no user message, the last one is empty, or a tool call has no result.
    """
    said = [_message(each) for each in messages]
    return question_of(said, prompts, "messages", lambda place: f"messages[{place}].content")


def returned_in(messages: Sequence[ChatMessage]) -> dict[str, Returned]:
    """Return what the client's tools returned since the user last spoke, by the ids of their calls."""
    returned: dict[str, Returned] = {}
    for each in reversed(messages):
        if each.role == "user":
            break
        if each.role == "tool" and each.tool_call_id is not None:
            said = _message(each)
            returned.setdefault(each.tool_call_id, Returned(said.text, images=said.images))
    return returned


def _message(message: ChatMessage) -> Message:
    texts = [part.text for part in message.content if isinstance(part, TextPart)]
    images = tuple(part for part in message.content if isinstance(part, ImagePart))
    words = (TextPart(text="\n".join(texts)),) if texts else ()
    return Message(
        role="system" if message.role == "developer" else message.role,
        parts=(*images, *words),
        tool_calls=tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or ()
        ),
        tool_call_id=message.tool_call_id,
    )
