"""The messages of a request: a question, and the conversation before it.

The last user message is the question. If more was said after it, that is part of the conversation, too, and what is
asked is to go on.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ConfigurationError
from ...messages import ImagePart, Message, TextPart, ToolCall
from ...prompts import Prompts
from ...run.history import checked_history
from ..api_errors import invalid_request
from ..asked import Question
from .schema import ChatMessage


def as_question(messages: Sequence[ChatMessage], prompts: Prompts) -> Question:
    """Return the question that `messages` ask, oldest message first, with `prompts` where it has no words.

    Raises:
        RequestError: there is no user message, the last one is empty, or a tool call has no result.
    """
    place = max((place for place, each in enumerate(messages) if each.role == "user"), default=None)
    if place is None:
        raise invalid_request("messages: none has the role user", param="messages")
    said = [_message(each) for each in messages]
    asked = said[place]
    if not asked.text.strip() and not asked.images:
        param = f"messages[{place}].content"
        raise invalid_request(f"{param}: the last user message is empty", param=param)
    try:
        if any(each.role != "system" for each in said[place + 1 :]):
            return Question(prompts.render("history_go_on"), (), checked_history(said))
        history = checked_history([*said[:place], *said[place + 1 :]])
    except ConfigurationError as error:
        raise invalid_request(f"messages: {error.message}", param="messages") from None
    return Question(asked.text if asked.text.strip() else prompts.render("image_question"), asked.images, history)


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
