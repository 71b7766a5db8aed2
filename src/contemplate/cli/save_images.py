"""`--save-images`: the images of an answer, as files."""

from __future__ import annotations

import mimetypes
import os
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from ..errors import ConfigurationError
from ..images import image_from_url
from ..messages import ImagePart
from ..result import RunResult
from .console import say


class ImageFolder:
    """The directory to which images are written; it is made if it is not there.

    Raises:
        ConfigurationError: nothing can be written there. It is said now, before a run is paid for.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self._path):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"--save-images {path!r}: {error.strerror or error}", hint="name a directory that can be written to"
            ) from None

    def save(self, result: RunResult[Any]) -> None:
        """Write the images, and say where they are. What cannot be written is said as well: the answer is there."""
        for number, image in enumerate(result.images, start=1):
            try:
                image = image if image.url is None else image_from_url(image.url)
                say(f"image: {image.url if image.data is None else self._write(image, result.run_id, number)}")
            except (OSError, ValueError) as error:
                say(f"image {number} was not saved: {error}")

    def _write(self, image: ImagePart, run_id: str, number: int) -> Path:
        suffix = mimetypes.guess_extension(image.media_type, strict=False) or ".img"
        for attempt in count(1):
            copy = "" if attempt == 1 else f"-{attempt}"
            path = self._path / f"{run_id}-{number}{copy}{suffix}"
            try:
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            except FileExistsError:
                continue
            with os.fdopen(file, "wb") as opened:
                opened.write(image.data or b"")
            return path
        raise AssertionError("unreachable")


def keep_images(result: RunResult[Any], run_id: str, folder: ImageFolder | None) -> None:
    """Write the images of an answer to `folder`; without one, say that there are some."""
    if folder is not None:
        folder.save(result)
    elif result.images:
        say(f"images in the answer: {len(result.images)}; to save them: --run-id {run_id} --save-images DIR")
