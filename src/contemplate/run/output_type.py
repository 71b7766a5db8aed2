"""Typed output: a Python type as a JSON schema, and a model's text as a value of that type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import to_json

from ..errors import ConfigurationError, OutputError, validation_problems

T = TypeVar("T")


@dataclass(frozen=True)
class OutputType(Generic[T]):
    """What an answer must be: any type that pydantic can validate, usually a `BaseModel`.

    A type whose JSON schema is no object (a list, a number, a union) travels in an object with one field, "value",
    as providers take only objects.
    """

    type: type[T]

    @property
    def name(self) -> str:
        """A name for the schema, as providers allow it: letters, digits, "_" and "-", at most 64."""
        raw = getattr(self.type, "__name__", "output")
        return re.sub(r"[^A-Za-z0-9_-]", "_", raw)[:64]

    @cached_property
    def adapter(self) -> TypeAdapter[T]:
        """Pydantic's adapter of the type.

        Raises:
            ConfigurationError: pydantic has no schema for it.
        """
        try:
            return TypeAdapter(self.type)
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise ConfigurationError(
                f"output_type {self.type!r} cannot be validated: {why}", hint="give a pydantic model"
            ) from error

    @cached_property
    def _carrier(self) -> TypeAdapter[Any]:
        """What travels: the type itself, or an object around it."""
        if _schema_of(self.adapter).get("type") == "object":
            return self.adapter
        return TypeAdapter(create_model(self.name, value=(self.type, ...)))

    @cached_property
    def json_schema(self) -> dict[str, JsonValue]:
        """The schema that the model's answer follows; always an object's."""
        return _schema_of(self._carrier)

    def parse(self, text: str) -> T:
        """The value that `text` stands for: JSON, also inside a code fence or after a few words.

        Raises:
            OutputError: there is no JSON, or it does not fit; the message tells a model what to mend.
        """
        try:
            carried = self._carrier.validate_json(_json_in(text))
        except ValidationError as error:
            raise OutputError(f"the answer is no {self.name}: {validation_problems(error)}") from None
        value: T = carried if self._carrier is self.adapter else carried.value
        return value

    def dump(self, value: T) -> JsonValue:
        """`value` as JSON data."""
        dumped: JsonValue = self.adapter.dump_python(value, mode="json", by_alias=True, round_trip=True)
        return dumped

    def load(self, data: JsonValue) -> T:
        """The value of JSON data that `dump` made."""
        # As JSON, since a strict type takes a date, say, from a string there and nowhere else.
        return self.adapter.validate_json(to_json(data))


def _schema_of(adapter: TypeAdapter[Any]) -> dict[str, JsonValue]:
    try:
        return adapter.json_schema()
    except PydanticInvalidForJsonSchema as error:
        why = str(error).partition("\n")[0]
        raise ConfigurationError(f"output_type has no JSON schema: {why}", hint="give a pydantic model") from error


def _json_in(text: str) -> str:
    """The outermost JSON object in `text`; `text` itself if there is none."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
