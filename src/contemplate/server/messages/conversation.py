"""The messages of a request: a question, the conversation before it, and what the client's tools returned.

What one side says without a break is one message, as in Anthropic's own server. The last one is the question. Where it
holds results of tools, or is the assistant's, what is asked is to go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Literal

from ...decisions import Returned
from ...errors import ConfigurationError
from ...messages import ImagePart, Message, TextPart, ToolCall
from ...prompts import Prompts
from ...run.history import checked_history
from ..api_errors import invalid_request
from ..neutral_request import Question
from .blocks import Block, Content, ToolReturn
from .schema import CountRequest
from .tool_names import short_name

# A line of claude-code's for Anthropic's accounts: it may differ from one request to the next, and then no prefix cache
# would hold.
_FOR_ACCOUNTS = "x-anthropic-billing-header:"


@dataclass(frozen=True, slots=True)
class _Turn:
    role: Literal["user", "assistant"]
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        return _text(self.blocks)

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return tuple(each for each in self.blocks if isinstance(each, ImagePart))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        made = (each for each in self.blocks if isinstance(each, ToolCall))
        return tuple(each.model_copy(update={"name": short_name(each.name)}) for each in made)

    @property
    def returns(self) -> tuple[ToolReturn, ...]:
        return tuple(each for each in self.blocks if isinstance(each, ToolReturn))

    def messages(self, prompts: Prompts) -> Iterator[Message]:
        """Yield the turn as messages: what tools returned, then what was said beside it, with all images."""
        for each in self.returns:
            yield Message.tool(each.id, _told(each, prompts))
        images = (*chain.from_iterable(each.images for each in self.returns), *self.images)
        words = (TextPart(text=self.text),) if self.text.strip() else ()
        if images or words or self.calls:
            yield Message(role=self.role, parts=(*images, *words), tool_calls=self.calls)


def as_messages(body: CountRequest, prompts: Prompts) -> tuple[Message, ...]:
    """Return all that `body` says, as messages, with the instructions first."""
    return (*_instructions(body), *chain.from_iterable(each.messages(prompts) for each in _turns(body)))


def as_question(body: CountRequest, prompts: Prompts) -> Question:
    """Return the question that `body` asks, with `prompts` where it has no words.

    Raises:
        RequestError: there is no user message, the last one is empty, or a tool call has no result.
    """
    turns = _turns(body)
    if all(each.role != "user" for each in turns):
        raise invalid_request("messages: none has the role user", param="messages")
    last = turns[-1]
    goes_on = last.role == "assistant" or bool(last.returns)
    if not (goes_on or last.text.strip() or last.images):
        raise invalid_request("messages: the last user message is empty", param="messages")
    said = as_messages(body, prompts)
    try:
        history = checked_history(said if goes_on else said[:-1])
    except ConfigurationError as error:
        raise invalid_request(f"messages: {error.message}", param="messages") from None
    if goes_on:
        return Question(prompts.render("history_go_on"), (), history)
    return Question(last.text if last.text.strip() else prompts.render("image_question"), last.images, history)


def returned(body: CountRequest) -> Mapping[str, Returned]:
    """Return what the client's tools returned, by call id, where `body` goes on after calls.

    What was said beside the results, and shown, is added to the last one.
    """
    turns = _turns(body)
    last = turns[-1] if turns else _Turn("user", ())
    results = {each.id: each for each in last.returns}
    beside = (last.text, *_said_since(body))
    for id_ in list(results)[-1:]:
        result = results[id_]
        text = "\n\n".join(filter(None, (result.text, *beside)))
        results[id_] = replace(result, text=text, images=(*result.images, *last.images))
    return {
        id_: Returned(None if each.failed else each.text, each.text if each.failed else None, each.images)
        for id_, each in results.items()
    }


def _told(each: ToolReturn, prompts: Prompts) -> str:
    return prompts.render("tool_error", kind="ToolError", message=each.text) if each.failed else each.text


def _turns(body: CountRequest) -> list[_Turn]:
    said = ((each.role, _blocks(each.content)) for each in body.messages if each.role != "system")
    return [
        _Turn("user" if role == "user" else "assistant", tuple(chain.from_iterable(blocks for _, blocks in group)))
        for role, group in groupby(said, key=lambda each: each[0])
    ]


def _instructions(body: CountRequest) -> Iterator[Message]:
    for block in _blocks(body.system):
        if isinstance(block, TextPart) and not block.text.startswith(_FOR_ACCOUNTS):
            yield Message.system(block.text)
    for each in body.messages:
        if each.role == "system":
            yield Message.system(_text(_blocks(each.content)))


def _said_since(body: CountRequest) -> Iterator[str]:
    """Yield what the system said since the assistant's last message."""
    last = max((place for place, each in enumerate(body.messages) if each.role == "assistant"), default=-1)
    for each in body.messages[last + 1 :]:
        if each.role == "system":
            yield _text(_blocks(each.content))


def _blocks(content: Content) -> tuple[Block, ...]:
    return tuple(each for each in content if each is not None)


def _text(blocks: tuple[Block, ...]) -> str:
    return "\n".join(each.text for each in blocks if isinstance(each, TextPart))
