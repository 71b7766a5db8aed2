"""Images in a response: in a field beside the text, as content parts, or within the text as data URLs.

Servers differ. OpenRouter and Vercel send `message.images` and `delta.images`, others send content parts, and some
proxies a Markdown image whose URL contains the data. An image that cannot be read is dropped with a note.
https://openrouter.ai/docs/features/multimodal/image-generation
"""

from __future__ import annotations

import re
from typing import Any

from ...images import image_from_url
from ...messages import ImagePart

# Shorter data is an example in an explanation, and stays in the text.
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
        """Add an image by its URL, unless it was added before: some servers send an image in two places."""
        try:
            image = image_from_url(url)
        except ValueError as error:
            self._drop(str(error))
            return
        if image not in self.found:
            self.found.append(image)

    def beside(self, images: object) -> None:
        """Add the images in a field `images`."""
        for image in images if isinstance(images, list) else ():
            self.add_part(image)

    def without_images(self, text: str) -> str:
        """Return `text`, a piece of the whole, without images; the possible start of an image is held back."""
        if self._within and _ONLY_DATA.fullmatch(text):
            # Joined once, at the end of the image: it may be millions of characters in small pieces.
            self._held.append(text)
            return ""
        if not self._held and "!" not in text:
            return text
        whole = "".join((*self._held, text))
        self._held.clear()
        texts: list[str] = []
        end = 0
        for image in _IMAGE.finditer(whole):
            texts.append(whole[end : image.start()])
            end = image.end()
            if end == len(whole) and image[2] is None:
                end = image.start()
                break
            self.add(image[1])
        self._within = end < len(whole) and _IMAGE.match(whole, end) is not None
        start = end if self._within else _image_start(whole, end)
        if whole[start:]:
            self._held.append(whole[start:])
        return "".join((*texts, whole[end:start]))

    def rest(self) -> str:
        """Return the text that was held back, at the end of the response; an image that was cut off is dropped."""
        held, within = "".join(self._held), self._within
        self._held.clear()
        self._within = False
        if within:
            self._drop("it was cut off")
        return "" if within else held

    def add_part(self, image: Any) -> None:
        """Add an image as a content part."""
        match image:
            case {"image_url": {"url": str(url)}} | {"image_url": str(url)}:
                self.add(url)
            case _:
                self._drop("its format is not known")

    def _drop(self, why: str) -> None:
        note = f"an image of the answer was dropped: {why}"
        if note not in self.notes:
            self.notes.append(note)


def _image_start(whole: str, start: int) -> int:
    """Return where a possible image starts at the end of `whole`; the length of `whole` if none does."""
    found = _BEGINNING.search(whole, max(start, len(whole) - _MAX_BEGINNING))
    return len(whole) if found is None else found.start()
