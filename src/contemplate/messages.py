"""Messages to and from a model, independent of any provider."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from .data import Data, Text


class TokenLogprob(Data):
    """A token with its log-probability, and the most likely alternatives with theirs (`top`)."""

    token: Text
    logprob: float
    top: Mapping[Text, float] = Field(default={})


Role = Literal["system", "user", "assistant", "tool"]


class TextPart(Data):
    """Plain text."""

    kind: Literal["text"] = "text"
    text: Text


class ImagePart(Data):
    """An image, by reference (`url`: http, https or data) or by value (`data`, with its `media_type`)."""

    kind: Literal["image"] = "image"
    url: str | None = None
    data: bytes | None = Field(default=None, repr=False)
    media_type: str = "image/png"

    def as_url(self) -> str:
        """Return the image as one URL; bytes become a `data:` URL (RFC 2397)."""
        if self.url is not None:
            return self.url
        return f"data:{self.media_type};base64,{base64.b64encode(self.data or b'').decode('ascii')}"


Part = Annotated[TextPart | ImagePart, Field(discriminator="kind")]


class ProviderData(Data):
    """Fields that a provider added to a message or tool call, such as a thought signature.

    They go back to the provider that they came from, and to no other, as they are.

    Args:
        provider: which one: the model's endpoint.
        fields: the fields, by name.
    """

    provider: str
    fields: Mapping[str, JsonValue] = Field(repr=False)


class ToolCall(Data):
    """A tool call requested by a model. `arguments` is the JSON text that the model wrote, unchecked."""

    id: Text
    name: Text
    arguments: Text
    provider_data: ProviderData | None = None


class Message(Data):
    """One message of a conversation.

    `tool_calls` is only set in assistant messages, `tool_call_id` (the call it answers) only in tool messages.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: Text | None = None
    provider_data: ProviderData | None = None

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join([part.text for part in self.parts if isinstance(part, TextPart)])

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """All image parts."""
        return tuple([part for part in self.parts if isinstance(part, ImagePart)])

    @classmethod
    def system(cls, text: str) -> Message:
        """Make a system message: instructions."""
        return cls(role="system", parts=(TextPart(text=text),))

    @classmethod
    def user(cls, text: str, images: tuple[ImagePart, ...] = ()) -> Message:
        """Make a user message. Images come first: calls that share them, but not the text, then share a prefix."""
        return cls(role="user", parts=(*images, TextPart(text=text)))

    @classmethod
    def assistant(cls, text: str, tool_calls: tuple[ToolCall, ...] = (), images: tuple[ImagePart, ...] = ()) -> Message:
        """Make an assistant message: what a model wrote."""
        said = (TextPart(text=text),) if text else ()
        return cls(role="assistant", parts=(*said, *images), tool_calls=tool_calls)

    @classmethod
    def tool(cls, call_id: str, text: str, images: tuple[ImagePart, ...] = ()) -> Message:
        """Make a tool message: the result of the call `call_id`. Its images are for the user, not for the model."""
        return cls(role="tool", parts=(TextPart(text=text), *images), tool_call_id=call_id)


def images_made(messages: Sequence[Message]) -> tuple[ImagePart, ...]:
    """Return the distinct images that a subagent and its tools made, without those that it was shown."""
    made = [image for message in messages if message.role != "user" for image in message.images]
    return tuple([image for place, image in enumerate(made) if image not in made[:place]])


def instructed(messages: Sequence[Message], instruction: str) -> tuple[Message, ...]:
    """Return `messages` with an instruction at the end of the first system message, which is made if there is none."""
    for place, message in enumerate(messages):
        if message.role == "system":
            said = Message.system(f"{message.text}\n\n{instruction}")
            return (*messages[:place], said, *messages[place + 1 :])
    return (Message.system(instruction), *messages)
