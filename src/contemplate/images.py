"""Loading and checking of images: paths, URLs and bytes become parts of a message."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from pathlib import Path
from urllib.parse import urlsplit

from .errors import ConfigurationError
from .messages import ImagePart

ImageSource = str | Path | bytes | ImagePart

MAX_IMAGE_BYTES = 20 * 1024 * 1024

_DATA_URL = re.compile(r"data:(?P<media_type>[^;,]{0,100})(?:;[^;,]{0,100})*?;base64,", re.IGNORECASE)
_IMAGE_TYPE = re.compile(r"image/[a-z0-9.+-]{1,60}")
_URL_SAFE = str.maketrans("-_", "+/")


def load_image(source: ImageSource) -> ImagePart:
    """Make an image part from a path, a URL, bytes or a part.

    Raises:
        ConfigurationError: the file is missing, is not an image, or is larger than 20 MiB.
    """
    if isinstance(source, ImagePart):
        return source
    if isinstance(source, bytes):
        return ImagePart(data=source, media_type=_media_type(source))
    if isinstance(source, str) and urlsplit(source).scheme in ("http", "https", "data"):
        return ImagePart(url=source)
    path = Path(source)
    if not path.is_file():
        raise ConfigurationError(f"image {str(path)!r}: no such file", hint="give a path, a URL or bytes")
    guessed = mimetypes.guess_type(path.name)[0]
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise ConfigurationError(f"image {str(path)!r} is larger than 20 MiB", hint="scale it down")
    raw = path.read_bytes()
    media_type = guessed or _media_type(raw)
    if not media_type.startswith("image/"):
        raise ConfigurationError(f"{str(path)!r} is not an image ({media_type})", hint="give a PNG, JPEG, WebP or GIF")
    return ImagePart(data=raw, media_type=media_type)


def image_from_url(url: str) -> ImagePart:
    """Make an image part from the URL that a model sent: a `data:` URL by value, an http(s) URL by reference.

    Raises:
        ValueError: it is not an image, or is larger than 20 MiB.
    """
    if url[:8].lower().startswith(("http://", "https://")):
        return ImagePart(url=url)
    head = _DATA_URL.match(url)
    if head is None:
        raise ValueError("its URL is neither http(s) nor base64 data")
    if (len(url) - head.end()) * 3 // 4 > MAX_IMAGE_BYTES:
        raise ValueError("it is larger than 20 MiB")
    body = "".join(url[head.end() :].split()).translate(_URL_SAFE).rstrip("=")
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not valid base64") from None
    # Some providers declare PNG for every format.
    media_type = _sniffed(raw) or head["media_type"].lower()
    if not raw or not _IMAGE_TYPE.fullmatch(media_type):
        raise ValueError("its data is not an image")
    return ImagePart(data=raw, media_type=media_type)


def _media_type(raw: bytes) -> str:
    media_type = _sniffed(raw)
    if media_type is None:
        raise ConfigurationError("the bytes given as an image are not PNG, JPEG, GIF or WebP", hint="give image bytes")
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
