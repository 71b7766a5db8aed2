"""The messages of a request: a question, and the conversation before it.

The last user message is the question. If more was said after it, that is part of the conversation, too, and what is
asked is to go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...decisions import Returned
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
    said = list(_with_all_results([_message(each) for each in messages], place, prompts))
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


def returned_in(messages: Sequence[ChatMessage]) -> dict[str, Returned]:
    """Return what the client's tools returned since the user last spoke, by the ids of their calls."""
    returned: dict[str, Returned] = {}
    for each in reversed(messages):
        if each.role == "user":
            break
        if each.role == "tool" and each.tool_call_id is not None:
            returned.setdefault(each.tool_call_id, Returned(_message(each).text))
    return returned


def _with_all_results(said: Sequence[Message], asked: int, prompts: Prompts) -> Iterator[Message]:
    """Yield `said`; calls after the place `asked`, of which only some have returned yet, get a result that says so."""
    missing: list[str] = []
    some = False
    for place, each in enumerate((*said, None)):
        if missing and (each is None or each.role != "tool"):
            if some and place > asked:
                for call_id in missing:
                    yield Message.tool(call_id, prompts.render("tool_no_result"))
            missing, some = [], False
        if each is None:
            return
        if each.role == "tool" and each.tool_call_id in missing:
            missing.remove(each.tool_call_id)
            some = True
        missing.extend(call.id for call in each.tool_calls)
        yield each


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
