"""The messages of a request, as one question.

The last user message is the question. Of the others, those of the system and the developer are instructions, and the
rest is a transcript, fenced so that no message can pass itself off as another. A single message is asked as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from ..messages import ImagePart, TextPart
from ..prompts import Prompts, fenced
from .api_errors import invalid_request
from .chat_schema import ChatMessage

_INSTRUCTIONS = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Question:
    """What a contemplator is asked. The images are those of the whole conversation, in order."""

    text: str
    images: tuple[ImagePart, ...] = ()


def as_question(messages: Sequence[ChatMessage], mark: str, prompts: Prompts) -> Question:
    """Return the question that `messages` ask.

    Args:
        messages: the conversation, oldest first.
        mark: stands in the fences; nobody who wrote a message may know it.
        prompts: those of the contemplator that is asked.

    Raises:
        RequestError: there is no user message, or the last one is empty.
    """
    place = max((place for place, each in enumerate(messages) if each.role == "user"), default=None)
    if place is None:
        raise invalid_request("messages: none has the role user", param="messages")
    asked = messages[place]
    images = _images(messages)
    if not _text(asked).strip() and not _images([asked]):
        param = f"messages[{place}].content"
        raise invalid_request(f"{param}: the last user message is empty", param=param)
    # Only where it is not plain which image is meant do the texts say where each one stood.
    marked = len(images) > 1 or _images([asked]) != images or not _text(asked).strip()
    number = count(1) if marked else None
    texts = [_text(each, number) for each in messages]
    context = list(_context(messages, texts, place, mark, prompts))
    if not context:
        return Question(texts[place], images)
    return Question(prompts.render("conversation", context="\n\n".join(context), question=texts[place]), images)


def _context(
    messages: Sequence[ChatMessage], texts: Sequence[str], place: int, mark: str, prompts: Prompts
) -> Iterator[str]:
    said = list(enumerate(zip(messages, texts, strict=True)))
    instructions = [text for _, (each, text) in said if each.role in _INSTRUCTIONS and text.strip()]
    if instructions:
        yield prompts.render("conversation_instructions", instructions="\n\n".join(instructions))
    names = {call.id: call.function.name for each in messages for call in each.tool_calls or ()}
    history: list[tuple[str, str]] = []
    for at, (each, text) in said:
        if at != place and each.role not in _INSTRUCTIONS:
            after = ", after the question" if at > place else ""
            history += [(f"{label}{after}", entry) for label, entry in _entries(each, text, names)]
    if history:
        yield prompts.render("conversation_history", mark=mark, history=fenced(history, mark))


def _entries(message: ChatMessage, text: str, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Return what the transcript holds of `message`, each part with its label."""
    if message.role == "tool":
        yield "tool result", f"{names.get(message.tool_call_id or '', '')}\n{text}"
        return
    if text.strip():
        yield message.role, text
    for call in message.tool_calls or ():
        yield "tool call", f"{call.function.name} {call.function.arguments}"


def _images(messages: Sequence[ChatMessage]) -> tuple[ImagePart, ...]:
    return tuple(part for each in messages for part in each.content if isinstance(part, ImagePart))


def _text(message: ChatMessage, number: Iterator[int] | None = None) -> str:
    """Return the text of `message`; with `number`, each image leaves its number where it stood."""
    said: list[str] = []
    for part in message.content:
        if isinstance(part, TextPart):
            said.append(part.text)
        elif number is not None:
            said.append(f"[image {next(number)}]")
    return "\n".join(said)
