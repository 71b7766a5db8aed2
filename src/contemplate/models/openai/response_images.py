"""Images in what a model sent: beside its text, among the parts of it, or within it as data URLs.

Servers differ. OpenRouter and Vercel send `message.images` and `delta.images`, others parts of the content, and some
proxies a Markdown image whose URL holds the data. What cannot be read as an image is dropped with a note.
https://openrouter.ai/docs/features/multimodal/image-generation
"""

from __future__ import annotations

import re
from typing import Any

from ...images import image_from_url
from ...messages import ImagePart

# Shorter data is an example in somebody's explanation, and stays in the text.
_OPENING = r"!\[[^\]\n]{0,200}\]\((data:[\w.+-]{1,60}/[\w.+-]{1,60}(?:;[\w.=-]{1,60}){0,3};base64,"
_DATA = r"[A-Za-z0-9+/=_-]"
_IMAGE = re.compile(_OPENING + _DATA + r"{32,}+)(\))?")
_BEGINNING = re.compile(r"!(?:\[[^\]\n]{0,200}(?:\](?:\([^\s)]{0,350})?)?)?\Z")
_MAX_BEGINNING = 600
_ONLY_DATA = re.compile(_DATA + r"*+")


class ResponseImages:
    """The images of one response, which may arrive in pieces."""

    def __init__(self) -> None:
        self.found: list[ImagePart] = []
        self.notes: list[str] = []
        self._held: list[str] = []
        self._within = False

    def add(self, url: str) -> None:
        """Take in an image by its URL. Some servers send an image in two places: it is one."""
        try:
            image = image_from_url(url)
        except ValueError as error:
            self._dropped(str(error))
            return
        if image not in self.found:
            self.found.append(image)

    def beside(self, images: object) -> None:
        """Take in a field `images`."""
        for image in images if isinstance(images, list) else ():
            self._one(image)

    def content(self, content: object) -> str:
        """The text of a message's content, a text or a list of parts; its images are taken in."""
        if isinstance(content, str):
            return self.told(content)
        said: list[str] = []
        for part in content if isinstance(content, list) else ():
            match part:
                case str(text) | {"type": "text" | "output_text", "text": str(text)}:
                    said.append(self.told(text))
                case {"type": "image_url"}:
                    self._one(part)
                case _:
                    pass
        return "".join(said)

    def told(self, text: str) -> str:
        """`text`, a piece of the whole, without images; what may be the beginning of one is held back."""
        if self._within and _ONLY_DATA.fullmatch(text):
            # Joined once, when the image is over: it may be millions of characters in small pieces.
            self._held.append(text)
            return ""
        whole = "".join((*self._held, text))
        self._held.clear()
        said: list[str] = []
        end = 0
        for image in _IMAGE.finditer(whole):
            said.append(whole[end : image.start()])
            end = image.end()
            if end == len(whole) and image[2] is None:
                end = image.start()
                break
            self.add(image[1])
        self._within = end < len(whole) and _IMAGE.match(whole, end) is not None
        begun = end if self._within else _beginning(whole, end)
        if whole[begun:]:
            self._held.append(whole[begun:])
        return "".join((*said, whole[end:begun]))

    def rest(self) -> str:
        """What was held back, when no more text comes; an image that was cut off is none."""
        held, within = "".join(self._held), self._within
        self._held.clear()
        self._within = False
        if within:
            self._dropped("it was cut off")
        return "" if within else held

    def _one(self, image: Any) -> None:
        match image:
            case {"image_url": {"url": str(url)}} | {"image_url": str(url)}:
                self.add(url)
            case _:
                self._dropped("it is in no form that is known")

    def _dropped(self, why: str) -> None:
        note = f"an image of the answer was dropped: {why}"
        if note not in self.notes:
            self.notes.append(note)


def _beginning(whole: str, start: int) -> int:
    """Where something begins, at the end of `whole`, that may become an image; its length if there is no such."""
    found = _BEGINNING.search(whole, max(start, len(whole) - _MAX_BEGINNING))
    return len(whole) if found is None else found.start()
