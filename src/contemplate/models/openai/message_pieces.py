"""The message of a response: text, reasoning, tool calls and images, from fields of many kinds, whole or in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...messages import Message, ProviderData, TextPart
from ..base import Delta, JsonSchema
from .answer_text import UNCLOSED, AnswerText
from .completion import bad
from .opaque_fields import OpaqueFields
from .reasoning import FIELDS, reasoning_in, words_of
from .response_images import ResponseImages
from .tool_call_pieces import ToolCallPieces

# What most pieces of a stream consist of.
_TEXT_ALONE = frozenset(("role", "content"))


class MessagePieces:
    """Collects one message.

    Args:
        tools: the tools that may be called, and the schemas of their parameters.

    Attributes:
        count: the number of pieces with content: text, reasoning, part of a tool call, or an image.
        refused: whether the model declined to answer; its words are the text.
    """

    def __init__(self, tools: Mapping[str, JsonSchema]) -> None:
        self.count = 0
        self.refused = False
        self._content: list[str] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_field = ""
        self._said = AnswerText(tools)
        self._calls = ToolCallPieces(tools)
        self._opaque = OpaqueFields()
        self._images = ResponseImages()
        self._unknown_parts = False
        # Whether nothing was added since what was held back was yielded.
        self._is_over = False

    @property
    def is_empty(self) -> bool:
        """Whether there is neither text, nor a tool call, nor an image."""
        return not (self._text or self._calls or self._images.found)

    @property
    def text(self) -> str:
        """The text."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """The reasoning."""
        return "".join(self._reasoning)

    def add(self, message: dict[str, Any], *, whole: bool = False) -> Iterator[Delta]:
        """Add a message (`whole`), or a piece of one, and yield its deltas.

        Raises:
            BadCompletion: its text or tool calls cannot be read.
        """
        heard = self._is_over = False
        has_more = not message.keys() <= _TEXT_ALONE
        if has_more and (reasoning := self._reasoning_of(message)):
            heard = True
            yield self._thought(reasoning)
        content = message.get("content")
        if content:
            heard = True
            yield from self._add_text(content) if isinstance(content, str) else self._add_parts(content)
        if has_more:
            self._opaque.add(message)
            if refusal := message.get("refusal"):
                heard = True
                yield from self._refuse(refusal)
            heard = self._add_rest(message, whole=whole) or heard
        self.count += heard

    def add_again(self, message: dict[str, Any]) -> Iterator[Delta]:
        """Add what a whole message at the end of a stream has beyond the pieces before it."""
        content, before = message.get("content"), "".join(self._content)
        if isinstance(content, str) and content.startswith(before):
            yield from self.add({"content": content[len(before) :]})
        if not self._calls:
            self._add_rest(message, whole=True)

    def end(self) -> Iterator[Delta]:
        """Yield what was held back, at the end of the message."""
        if self._is_over:
            return
        self._is_over = True
        yield from self._without_images(self._said.end(elsewhere=bool(self._calls)))
        if rest := self._images.rest():
            self._text.append(rest)
            yield Delta(rest)
        for name, arguments in self._said.calls:
            self._calls.add({"name": name, "arguments": arguments}, whole=True)

    def message(self, provider: str, call_prefix: str, *, with_reasoning: bool) -> Message:
        """Return the message.

        Args:
            provider: the endpoint, to which opaque fields go back.
            call_prefix: what the ids of calls without one begin with.
            with_reasoning: whether the reasoning goes back as well; with tool calls it does in any case.
        """
        text, calls = self.text, tuple(self._calls.calls(provider, call_prefix)) if self._calls else ()
        fields: dict[str, Any] = dict(self._opaque.found)
        # Elsewhere it would only swell the journal.
        if (calls or with_reasoning) and self._reasoning_field in ("reasoning_content", "reasoning"):
            fields[self._reasoning_field] = self.reasoning
        said = (TextPart(text=text),) if text else ()
        return Message(
            role="assistant",
            parts=(*said, *self._images.found),
            tool_calls=calls,
            provider_data=ProviderData(provider=provider, fields=fields) if fields else None,
        )

    def notes(self) -> Iterator[str]:
        """Yield what could not be read."""
        yield from self._images.notes
        if self._said.unclosed and not self._text:
            yield UNCLOSED
        if self._calls.dropped:
            yield "a tool call that is none was dropped"
        if self._unknown_parts:
            yield "a part of the answer is of an unknown kind; it was dropped"

    def _reasoning_of(self, message: dict[str, Any]) -> str:
        """Return the reasoning in the fields of a message, and keep the name of its field."""
        reasoning, name = reasoning_in(message)
        if not reasoning or (name == "reasoning_details" and self._reasoning_field in FIELDS):
            # The same again, which came in a field of its own.
            return ""
        self._reasoning_field = name
        return reasoning

    def _add_rest(self, message: dict[str, Any], *, whole: bool) -> bool:
        """Add tool calls and images; return whether there were any."""
        heard = False
        if calls := message.get("tool_calls"):
            heard = self._calls.add(calls, whole=whole)
        if isinstance(legacy := message.get("function_call"), dict):
            heard = self._calls.add({"index": -1, "function": legacy}) or heard
        if images := message.get("images"):
            heard = True
            self._images.beside(images)
        return heard

    def _add_parts(self, parts: object) -> Iterator[Delta]:
        """Add a content that is a list of parts, or a single part."""
        part: Any
        for part in parts if isinstance(parts, list) else [parts]:
            match part:
                case {"type": "text", "thought": True, "text": str(thought)}:
                    yield self._thought(thought)
                case str(text) | {"type": "text" | "output_text", "text": str(text)}:
                    yield from self._add_text(text)
                case {"type": "thinking" | "reasoning" | "redacted_thinking" | "reasoning_content" | "thought"}:
                    self._opaque.add_thinking(part)
                    if thought := words_of(part):
                        yield self._thought(thought)
                case {"type": "refusal", "refusal": refusal}:
                    yield from self._refuse(refusal)
                case {"type": "image_url"}:
                    self._images.add_part(part)
                case {"type": "text" | "output_text"} | int() | float():
                    raise bad("choices.0.message.content", "it should be a text")
                case _:
                    self._unknown_parts = True

    def _add_text(self, text: str) -> Iterator[Delta]:
        self._content.append(text)
        return self._without_images(self._said.add(text))

    def _without_images(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        """Keep text and thoughts, and yield them without images."""
        for delta in deltas:
            if delta.restart:
                self._images.rest()
                self._text.clear()
                yield delta
                if self._reasoning:
                    yield Delta(reasoning=self.reasoning)
            if delta.reasoning:
                yield self._thought(delta.reasoning)
            if text := self._images.without_images(delta.text) if delta.text else "":
                self._text.append(text)
                yield delta if text == delta.text else Delta(text)

    def _thought(self, text: str) -> Delta:
        self._reasoning.append(text)
        return Delta(reasoning=text)

    def _refuse(self, words: object) -> Iterator[Delta]:
        self.refused = True
        if isinstance(words, str):
            self._text.append(words)
            yield Delta(words)
