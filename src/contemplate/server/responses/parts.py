"""Parts of messages: texts and images. Files are read where they hold text."""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from ...data import Text
from ...images import image_from_url
from ..api_errors import UNSUPPORTED

_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})


def is_none(value: object) -> bool:
    """Return whether `value` is None: a field that is then left out."""
    return value is None


class Api(BaseModel):
    """The base of what is sent and taken: frozen, and without what is not known."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class InputText(Api):
    """A text that a client wrote."""

    type: Literal["input_text"] = "input_text"
    text: Text


class InputImage(Api):
    """An image, by its URL."""

    type: Literal["input_image"] = "input_image"
    image_url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"


class OutputText(Api):
    """A text that a model wrote."""

    type: Literal["output_text"] = "output_text"
    text: Text
    annotations: tuple[()] = ()
    logprobs: tuple[()] = ()


class SummaryText(Api):
    """A text that tells how the work goes on."""

    type: Literal["summary_text"] = "summary_text"
    text: Text


def _file(name: str, data: str) -> str:
    """Return a file as text; one that holds none, by its name alone."""
    try:
        text = base64.b64decode(data.partition("base64,")[2] or data, validate=True).decode()
    except ValueError:
        return f"[file {name}, which cannot be read here]"
    return f"{name}:\n{text}"


def part_of(value: Any, of_model: bool = False) -> Any:
    """Return what a client sent as a part, in one of the forms that are known."""
    match value:
        case InputText() | InputImage() | OutputText():
            return value
        case {"type": "refusal", "refusal": str(text)}:
            return OutputText(text=text)
        case {"type": str(kind), "text": str(text)} if kind in _TEXTS:
            return OutputText(text=text) if of_model else InputText(text=text)
        case {"type": "input_image", "image_url": str(url)}:
            try:
                image_from_url(url)
            except ValueError as error:
                raise PydanticCustomError("image_url", f"image_url: {error}") from None
            return {"type": "input_image", "image_url": url, "detail": value.get("detail") or "auto"}
        case {"type": "input_file", "file_data": str(data)}:
            return InputText(text=_file(str(value.get("filename") or "file"), data))
        case {"type": "input_image"}:
            raise PydanticCustomError(UNSUPPORTED, "a part of type input_image needs a URL in image_url")
        case {"type": str(kind)} if kind in _TEXTS:
            raise PydanticCustomError("text", "a part of type {kind} needs a text", {"kind": kind})
        case {"type": str(kind)}:
            raise PydanticCustomError(UNSUPPORTED, "parts of type {kind} are not supported", {"kind": kind})
    raise PydanticCustomError("part", "a part must be an object with a type")


def parts_of(value: Any) -> Any:
    """Return the parts of a content, which may be a text alone."""
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value
