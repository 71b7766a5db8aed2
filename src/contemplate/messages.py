"""Messages: what is said to a model and what it says back, in no provider's dialect."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from .data import Data
from .errors import ConfigurationError

Role = Literal["system", "user", "assistant", "tool"]

MAX_IMAGE_BYTES = 20 * 1024 * 1024

_DATA_URL = re.compile(r"data:(?P<media_type>[^;,]{0,100})(?:;[^;,]{0,100})*?;base64,", re.IGNORECASE)
_IMAGE_TYPE = re.compile(r"image/[a-z0-9.+-]{1,60}")
_URL_SAFE = str.maketrans("-_", "+/")


class TextPart(Data):
    """Plain text."""

    kind: Literal["text"] = "text"
    text: str


class ImagePart(Data):
    """An image, by reference (`url`: http, https or data) or by value (`data`, with its `media_type`)."""

    kind: Literal["image"] = "image"
    url: str | None = None
    data: bytes | None = Field(default=None, repr=False)
    media_type: str = "image/png"

    @classmethod
    def of(cls, source: str | Path | bytes | ImagePart) -> ImagePart:
        """Make a part from a path, a URL, raw bytes or a part.

        Raises:
            ConfigurationError: the file is missing, is no image by its name, or is larger than 20 MiB.
        """
        if isinstance(source, ImagePart):
            return source
        if isinstance(source, bytes):
            return cls(data=source, media_type=_sniff(source))
        if isinstance(source, str) and urlsplit(source).scheme in ("http", "https", "data"):
            return cls(url=source)
        path = Path(source)
        if not path.is_file():
            raise ConfigurationError(f"image {str(path)!r}: no such file", hint="give a path, a URL or bytes")
        guessed = mimetypes.guess_type(path.name)[0]
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise ConfigurationError(f"image {str(path)!r} is larger than 20 MiB", hint="scale it down")
        raw = path.read_bytes()
        media_type = guessed or _sniff(raw)
        if not media_type.startswith("image/"):
            raise ConfigurationError(
                f"{str(path)!r} is not an image ({media_type})", hint="give a PNG, JPEG, WebP or GIF"
            )
        return cls(data=raw, media_type=media_type)

    @classmethod
    def from_url(cls, url: str) -> ImagePart:
        """Make a part from what a model sent as an image: a `data:` URL by value, one of http(s) by reference.

        Raises:
            ValueError: it is no image, or larger than 20 MiB.
        """
        if url[:8].lower().startswith(("http://", "https://")):
            return cls(url=url)
        head = _DATA_URL.match(url)
        if head is None:
            raise ValueError("its URL is neither of http(s) nor base64 data")
        if (len(url) - head.end()) * 3 // 4 > MAX_IMAGE_BYTES:
            raise ValueError("it is larger than 20 MiB")
        body = "".join(url[head.end() :].split()).translate(_URL_SAFE).rstrip("=")
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("it is not valid base64") from None
        # Some declare PNG whatever it is.
        media_type = _sniffed(raw) or head["media_type"].lower()
        if not raw or not _IMAGE_TYPE.fullmatch(media_type):
            raise ValueError("its data is no image")
        return cls(data=raw, media_type=media_type)

    def as_url(self) -> str:
        """The part as one URL; raw bytes become a `data:` URL (RFC 2397)."""
        if self.url is not None:
            return self.url
        return f"data:{self.media_type};base64,{base64.b64encode(self.data or b'').decode('ascii')}"


def _sniff(raw: bytes) -> str:
    media_type = _sniffed(raw)
    if media_type is None:
        raise ConfigurationError("the bytes given as an image are no PNG, JPEG, GIF or WebP", hint="give image bytes")
    return media_type


def _sniffed(raw: bytes) -> str | None:
    for magic, media_type in (
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
    ):
        if raw.startswith(magic):
            return media_type
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "image/webp"
    return None


Part = Annotated[TextPart | ImagePart, Field(discriminator="kind")]


class ToolCall(Data):
    """A model's wish to run a tool. `arguments` is the JSON text as the model wrote it, unchecked."""

    id: str
    name: str
    arguments: str


class Message(Data):
    """One message of a conversation.

    `tool_calls` stands only in assistant messages, `tool_call_id` only in tool messages (the call it answers).
    """

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """All image parts."""
        return tuple(part for part in self.parts if isinstance(part, ImagePart))

    @classmethod
    def system(cls, text: str) -> Message:
        """Instructions."""
        return cls(role="system", parts=(TextPart(text=text),))

    @classmethod
    def user(cls, text: str, images: tuple[ImagePart, ...] = ()) -> Message:
        """What the user shows, and says: images come first, as several calls often share them and not the words."""
        return cls(role="user", parts=(*images, TextPart(text=text)))

    @classmethod
    def assistant(cls, text: str, tool_calls: tuple[ToolCall, ...] = (), images: tuple[ImagePart, ...] = ()) -> Message:
        """What the model said."""
        said = (TextPart(text=text),) if text else ()
        return cls(role="assistant", parts=(*said, *images), tool_calls=tool_calls)

    @classmethod
    def tool(cls, call_id: str, text: str, images: tuple[ImagePart, ...] = ()) -> Message:
        """What a tool returned for the call `call_id`. Its images are the user's: no model is shown them."""
        return cls(role="tool", parts=(TextPart(text=text), *images), tool_call_id=call_id)


def images_made(messages: Sequence[Message]) -> tuple[ImagePart, ...]:
    """What a subagent and its tools made: all images but those that it was shown, each once."""
    made = [image for message in messages if message.role != "user" for image in message.images]
    return tuple(image for place, image in enumerate(made) if image not in made[:place])
