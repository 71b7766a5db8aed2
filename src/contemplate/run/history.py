"""The conversation before a run's question, as each role is shown it.

Who answers the question itself sees it as it was, message by message. Who plans, does a part, or concludes sees a
transcript between fences, so that nobody takes it for a conversation of their own. What is longer than there is room
for is cut, the oldest first, and in steps: so the beginning of a growing conversation changes rarely, and prefix caches
hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from ..messages import ImagePart, Message, TextPart
from ..models import ModelRequest
from ..models.tokens import BYTES_PER_TOKEN, request_tokens, text_tokens
from ..prompts import Prompts, fence_mark, fenced
from ..prompts.abridged_text import without_middle
from ..result import RunResult

# Bytes that are left of a message for which there is no room, and the share of the room for all of these.
BRIEF_BYTES = 480
SHARE_OF_BRIEF = 1 / 8

IMAGE = "[image]"

Entry = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A conversation as a role is shown it.

    Args:
        text: the transcript; "" if the conversation is shown as messages.
        messages: the conversation as messages.
        images: the images of the transcript, in order.
        shortened: how many messages are not shown in full.
    """

    text: str = ""
    messages: tuple[Message, ...] = ()
    images: tuple[ImagePart, ...] = ()
    shortened: int = 0


_NOTHING = Shown()


class History:
    """The conversation before a question, oldest message first.

    Attributes:
        instructions: those that the conversation came with: its system messages.
    """

    def __init__(self, messages: Sequence[Message], prompts: Prompts) -> None:
        self._prompts = prompts
        self._said = tuple(each for each in messages if each.role != "system")
        system = [each.text for each in messages if each.role == "system"]
        self.instructions = "\n\n".join(filter(str.strip, system))
        self._transcripts: dict[tuple[int, bool], Shown] = {}
        self._told: tuple[str, Message] | None = None
        self._names = {call.id: call.name for each in messages for call in each.tool_calls}

    def told(self, instructions: str) -> Message:
        """Return the system message that says `instructions`: the same one as long as they are the same."""
        if self._told is None or self._told[0] != instructions:
            self._told = instructions, Message.system(instructions)
        return self._told[1]

    def as_messages(self, room: int, *, images: bool, tools: bool) -> Shown:
        """Return the conversation as messages.

        Args:
            room: how many tokens it may have, by the estimate.
            images: whether images are shown; if not, words stand in their place.
            tools: whether tool calls are shown as such, or in words: servers refuse them where a request has no tools.
        """
        if not self._said:
            return _NOTHING
        said = self._said if tools else tuple(self._with_tools_in_words())
        if not images:
            said = tuple(map(_without_images, said))
        sizes = list(map(_size, said))
        start = first_kept(sizes, room)
        # A message of the user's opens what is kept, so that each tool call keeps its result.
        while start and start < len(said) and said[start].role != "user":
            start += 1
        longest = room * BYTES_PER_TOKEN // 2
        kept = tuple(self._at_most(each, longest) for each in said[start:])
        shortened = start + sum(each is not whole for each, whole in zip(kept, said[start:], strict=True))
        if start:
            earlier, mark = self._fenced(said[:start], (), room=int(room * SHARE_OF_BRIEF))
            kept = (Message.user(self._prompts.render("history_earlier", mark=mark, history=earlier)), *kept)
        return Shown(messages=kept, shortened=shortened)

    def as_transcript(self, room: int, *, images: bool) -> Shown:
        """Return the conversation as a text between fences, for a prompt that goes on with something else.

        Args:
            room: how many tokens it may have, by the estimate.
            images: whether images are shown beside it; in the text, words stand in their place.
        """
        if not self._said:
            return _NOTHING
        # All parts of a question are shown the same one.
        if (room, images) not in self._transcripts:
            self._transcripts[room, images] = self._transcript(room, images)
        return self._transcripts[room, images]

    def _transcript(self, room: int, images: bool) -> Shown:
        start = first_kept(list(map(_size, self._said)), room)
        longest = room * BYTES_PER_TOKEN // 2
        kept = [self._at_most(each, longest) for each in self._said[start:]]
        shortened = start + sum(each is not whole for each, whole in zip(kept, self._said[start:], strict=True))
        pictures = tuple(image for each in self._said[start:] for image in each.images) if images else ()
        text, mark = self._fenced(self._said[:start], kept, room=int(room * SHARE_OF_BRIEF))
        return Shown(self._prompts.render("history", mark=mark, history=text), (), pictures, shortened)

    def _fenced(self, brief: Sequence[Message], whole: Sequence[Message], *, room: int) -> tuple[str, str]:
        """Return messages between fences, those of `brief` shortened to `room` tokens in all, and the fences' mark."""
        entries = [entry for message in whole for entry in self._entries(message)]
        left = len(brief)
        for message in reversed(brief):
            shorter = [
                (label, without_middle(text, BRIEF_BYTES, self._prompts)) for label, text in self._entries(message)
            ]
            room -= sum(text_tokens(text) for _, text in shorter)
            if room < 0:
                break
            entries[:0] = shorter
            left -= 1
        mark = fence_mark(entries)
        left_out = self._prompts.render("history_left_out", messages=f"{left:,}") if left else ""
        return "\n\n".join(filter(None, (left_out, fenced(entries, mark)))), mark

    def _entries(self, message: Message) -> Iterator[Entry]:
        if message.role == "tool":
            yield "tool result", f"{self._names.get(message.tool_call_id or '', '')}\n{message.text}".strip()
            return
        text = _text_of(message)
        if text.strip():
            yield message.role, text
        for call in message.tool_calls:
            yield "tool call", f"{call.name} {call.arguments}"

    def _with_tools_in_words(self) -> Iterator[Message]:
        entries: list[Entry] = []

        def told() -> Iterator[Message]:
            if entries:
                mark = fence_mark(entries)
                yield Message.user(self._prompts.render("history_tools", mark=mark, history=fenced(entries, mark)))
                entries.clear()

        for message in self._said:
            if message.role == "tool":
                entries.extend(self._entries(message))
                continue
            if not message.tool_calls:
                yield from told()
                yield message
                continue
            if message.text.strip():
                yield from told()
                yield Message.assistant(message.text)
            entries.extend(each for each in self._entries(message) if each[0] == "tool call")
        yield from told()

    def _at_most(self, message: Message, length: int) -> Message:
        """Return `message` with at most `length` bytes of text, without its middle."""
        if len(message.text) * 4 <= length:
            return message
        text = without_middle(message.text, length, self._prompts)
        if text == message.text:
            return message
        return message.model_copy(update={"parts": (*message.images, TextPart(text=text))})


def first_kept(sizes: Sequence[int], room: int) -> int:
    """Return the place of the first message that is kept whole, of messages that have `sizes` tokens.

    Whenever they exceed the room, so many are cut that they fill half of it: so the place moves only now and then while
    a conversation grows. The last message is always kept.
    """
    first, total = 0, 0
    for place, size in enumerate(sizes):
        total += size
        if total > room:
            while first < place and total > room // 2:
                total -= sizes[first]
                first += 1
    return first


def checked_history(history: object) -> tuple[Message, ...]:
    """Return the conversation before a question, if it is one.

    Raises:
        ConfigurationError: it does not consist of messages, a tool call in it has no result, or a result has no call.
    """
    given: list[Any] = list(history) if isinstance(history, Sequence) else [history]
    odd = [each for each in given if not isinstance(each, Message)]
    if odd:
        raise ConfigurationError(
            f"history holds a {type(odd[0]).__name__}, where messages are wanted",
            hint="history=previous.history, or Message.user(text) and Message.assistant(text) in turn",
        )
    waiting: set[str] = set()
    for place, message in enumerate(given):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                raise ConfigurationError(
                    f"history[{place}] is the result of a tool call {message.tool_call_id!r} that is not before it",
                    hint="keep the message with the call, or leave the result out, too",
                )
            waiting.discard(message.tool_call_id)
        elif waiting:
            break
        waiting |= {call.id for call in message.tool_calls}
    if waiting:
        raise ConfigurationError(
            f"history: the tool call {min(waiting)!r} has no result after it",
            hint="add Message.tool(call_id, result), or leave the call out",
        )
    return tuple(given)


def with_history(
    result: RunResult[Any], history: Sequence[Message], images: tuple[ImagePart, ...], turn: Sequence[Message]
) -> RunResult[Any]:
    """Return `result` with the conversation from which the next question goes on, if the run has an answer.

    Args:
        result: the result.
        history: the conversation before the question.
        images: the images of the question.
        turn: the answer: `answer_of` it.
    """
    said = (Message.user(result.question, images), *turn) if turn else ()
    return result.model_copy(update={"history": (*history, *said)})


def answer_of(result: RunResult[Any]) -> tuple[Message, ...]:
    """Return the answer as messages: with the tool calls on which it rests, if one task gave it; none without one."""
    if not (result.text.strip() or result.images):
        return ()
    task = result.tasks[0] if len(result.tasks) == 1 and result.tasks[0].task.kind != "part" else None
    answer = Message.assistant(result.text, images=result.images)
    if task is None or not task.messages or task.messages[-1].text != result.text:
        return (answer,)
    asked = max((place for place, each in enumerate(task.messages) if each.role == "user"), default=-1)
    turn = task.messages[asked + 1 :]
    return turn if turn[-1].role == "assistant" and not turn[-1].tool_calls else (answer,)


def _size(message: Message) -> int:
    return request_tokens(ModelRequest((message,)))


def _text_of(message: Message) -> str:
    """Return the text of a message, with words in place of its images."""
    return "\n".join(part.text if isinstance(part, TextPart) else IMAGE for part in message.parts)


def _without_images(message: Message) -> Message:
    if not message.images:
        return message
    return message.model_copy(update={"parts": (TextPart(text=_text_of(message)),)})
