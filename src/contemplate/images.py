"""Loading and checking of images: whatever way an image comes in, it is one by its content, and not too large."""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path

from .errors import ConfigurationError
from .messages import ImagePart

ImageSource = str | Path | bytes | ImagePart

MAX_IMAGE_BYTES = 20 * 1024 * 1024

FORMATS = "PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF or HEIC"
# The names are only hints: some providers declare PNG for every format, and any file can be named so.
_MAGIC = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"BM.{4}\x00{4}", re.DOTALL), "image/bmp"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "image/tiff"),
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb".{4}ftyp(?:hei[cxms]|mif1)", re.DOTALL), "image/heic"),
)
_BY_REFERENCE = re.compile(r"https?://", re.IGNORECASE)
_DATA_URL = re.compile(r"data:[^;,]{0,100}(?:;[^;,]{0,100})*?;base64,", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")


def load_image(source: ImageSource) -> ImagePart:
    """Make an image part from a path, a URL, bytes or a part.

    Raises:
        ConfigurationError: the file cannot be read, or it is not an image, or is larger than 20 MiB.
    """
    name = "given as bytes" if isinstance(source, bytes) else "given as a part"
    try:
        if isinstance(source, ImagePart):
            return checked_image(source)
        if isinstance(source, bytes):
            return _image(source)
        if not isinstance(source, (str, os.PathLike)):
            raise ValueError(f"it is of type {type(source).__name__}")
        name = f"{str(source)!r:.200}"
        if isinstance(source, str) and re.match(r"https?://|data:", source, re.IGNORECASE):
            name = "given as a URL"
            return image_from_url(source)
        return _image(_read(Path(source)))
    except ValueError as error:
        raise ConfigurationError(f"image {name}: {error}", hint=f"give a path, a URL or bytes of {FORMATS}") from None


def checked_image(image: ImagePart) -> ImagePart:
    """Return `image` as it may be sent, with its media type by content.

    Raises:
        ValueError: it is not an image, or is larger than 20 MiB.
    """
    found = image_from_url(image.url) if image.url is not None else _image(image.data or b"")
    return image if found == image else found


def image_from_url(url: str) -> ImagePart:
    """Make an image part from a URL: a `data:` URL by value, an http(s) URL by reference.

    Raises:
        ValueError: it is not an image, or is larger than 20 MiB.
    """
    if _BY_REFERENCE.match(url):
        return ImagePart(url=url)
    head = _DATA_URL.match(url)
    if head is None:
        raise ValueError("its URL is neither http(s) nor base64 data")
    # Before it is decoded; padding counts for up to two bytes.
    if (len(url) - head.end()) * 3 // 4 > MAX_IMAGE_BYTES + 2:
        raise _too_large()
    body = "".join(url[head.end() :].split()).translate(_URL_SAFE).rstrip("=")
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not valid base64") from None
    return _image(raw)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ValueError("it is not a file" if path.exists() else "no such file")
        with path.open("rb") as file:
            # Not by its size, which may change.
            return file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from None


def _image(raw: bytes) -> ImagePart:
    """Make an image part of bytes: the one check that every image passes that is not at a URL."""
    if not raw:
        raise ValueError("it is empty")
    if len(raw) > MAX_IMAGE_BYTES:
        raise _too_large()
    for magic, media_type in _MAGIC:
        if magic.match(raw):
            return ImagePart(data=raw, media_type=media_type)
    raise ValueError("its data is not an image")


def _too_large() -> ValueError:
    return ValueError(f"it is larger than {MAX_IMAGE_BYTES >> 20} MiB")
