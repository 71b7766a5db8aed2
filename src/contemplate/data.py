"""The base class of every value object: frozen, without extra fields, with a lossless JSON round trip."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_set = object.__setattr__
# Escapes in JSON: a pair of surrogates, a lone one, any other.
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL)


def readable(text: Any) -> Any:
    """Return `text` with lone surrogates, which no encoding can write, replaced; pairs of them become one character.

    They come from file names, from escapes in JSON, and from characters that were cut in two.
    """
    if not isinstance(text, str) or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def readable_json(text: str) -> str:
    """Return JSON with lone surrogates replaced, escaped ones as well, which parsers refuse."""
    clean: str = readable(text)
    return _ESCAPE.sub(lambda found: "\\ufffd" if found[1] else found[0], clean) if "\\u" in clean else clean


def to_json_text(value: object) -> str:
    """Return any value as JSON; what JSON cannot say, as its text."""
    try:
        return to_json(value, fallback=str).decode()
    except (PydanticSerializationError, UnicodeEncodeError):
        plain = _readable_within(_ANY.dump_python(value, fallback=str))
        return to_json(plain, fallback=str, bytes_mode="base64").decode()


def _readable_within(value: Any) -> Any:
    if isinstance(value, dict):
        return {_readable_within(name): _readable_within(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_readable_within(each) for each in value]
    return readable(value)


def html_of(value: object, view: str) -> str:
    """Return a value as a function of `views.html` shows it.

    It is found by its name, as what shows values stands far above them, and is loaded when one is to be seen.
    """
    html: str = getattr(import_module(f"{__package__}.views.html"), view)(value)
    return html


# A row of a table: plain values by the names of their columns.
Record = dict[str, str | int | float | bool | None]

# Text from outside: all that users, models and tools write enters the library as a field of this type.
Text = Annotated[str, BeforeValidator(readable)]


class Data(BaseModel):
    """A frozen value with a JSON round trip (`model_dump_json`, `model_validate_json`)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
        protected_namespaces=(),
    )

    @classmethod
    @cache
    def _all_fields(cls) -> set[str]:
        return set(cls.model_fields)

    @classmethod
    def _unchecked(cls, fields: dict[str, Any]) -> Self:
        """Return the value of all `fields`, which are known to be right. For what is made once for each token."""
        value = cls.__new__(cls)
        # What a validator sets, too; `model_construct` costs more than checking.
        _set(value, "__dict__", fields)
        # One set for all: nobody changes it, as the values are frozen, and copies have their own.
        _set(value, "__pydantic_fields_set__", cls._all_fields())
        _set(value, "__pydantic_extra__", None)
        _set(value, "__pydantic_private__", None)
        return value
