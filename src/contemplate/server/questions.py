"""The messages of a request: a question, and the conversation before it.

The last user message is the question. If more was said after it, that is part of the conversation, too, and what is
asked is to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..errors import ConfigurationError
from ..messages import ImagePart, Message, TextPart
from ..prompts import Prompts
from ..run.history import checked_history
from .api_errors import invalid_request
from .neutral_request import Question


def question_of(
    messages: Sequence[Message], prompts: Prompts, field: str, content: Callable[[int], str] | None = None
) -> Question:
    """Return the question that `messages` ask, oldest message first.

    Args:
        messages: the conversation.
        prompts: where the question has no words.
        field: the field of the request in which the messages are.
        content: what the content of the message at a place is called there.

    Raises:
        RequestError: there is no user message, the last one is empty, or a tool call has no result.
    """
    place = max((place for place, each in enumerate(messages) if each.role == "user"), default=None)
    if place is None:
        raise invalid_request(f"{field}: none has the role user", param=field)
    said = list(_with_all_results(messages, place, prompts))
    asked = said[place]
    if not asked.text.strip() and not asked.images:
        param = field if content is None else content(place)
        raise invalid_request(f"{param}: the last user message is empty", param=param)
    try:
        if any(each.role != "system" for each in said[place + 1 :]):
            return Question(prompts.render("history_go_on"), (), checked_history([*_shown(said)]))
        history = checked_history([*_shown([*said[:place], *said[place + 1 :]])])
    except ConfigurationError as error:
        raise invalid_request(f"{field}: {error.message}", param=field) from None
    return Question(asked.text if asked.text.strip() else prompts.render("image_question"), asked.images, history)


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


def _shown(said: Sequence[Message]) -> Iterator[Message]:
    """Yield `said` with the images that tools returned in a message of the user's, where models see them."""
    images: tuple[ImagePart, ...] = ()
    for each in (*said, None):
        if images and (each is None or each.role != "tool"):
            yield Message(role="user", parts=images)
            images = ()
        if each is None:
            return
        if each.role == "tool" and each.images:
            images = (*images, *each.images)
            yield each.model_copy(update={"parts": (TextPart(text=each.text),)})
        else:
            yield each
