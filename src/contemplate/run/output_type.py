"""Typed output: the JSON schema of a Python type, and parsing a model's text as a value of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import to_json

from ..data import readable_json
from ..errors import ConfigurationError, OutputError, validation_problems

T = TypeVar("T")


@dataclass(frozen=True)
class OutputType(Generic[T]):
    """The type of an answer: any type that pydantic can validate, usually a `BaseModel`.

    A type whose JSON schema is not an object (a list, a number, a union) is wrapped in an object with one field,
    "value", as providers accept only objects.
    """

    type: type[T]

    @property
    def name(self) -> str:
        """The name of the schema, with what providers allow: letters, digits, "_" and "-", at most 64 characters."""
        raw = getattr(self.type, "__name__", "output")
        return re.sub(r"[^A-Za-z0-9_-]", "_", raw)[:64]

    @cached_property
    def adapter(self) -> TypeAdapter[T]:
        """Pydantic's adapter for the type.

        Raises:
            ConfigurationError: pydantic cannot validate the type.
        """
        try:
            return TypeAdapter(self.type)
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise ConfigurationError(
                f"output_type {self.type!r} cannot be validated: {why}", hint="give a pydantic model"
            ) from error

    @cached_property
    def _wire_adapter(self) -> TypeAdapter[Any]:
        """The adapter for what the model writes: the type itself, or the object that wraps it."""
        if _schema_of(self.adapter).get("type") == "object":
            return self.adapter
        return TypeAdapter(create_model(self.name, value=(self.type, ...)))

    @cached_property
    def json_schema(self) -> dict[str, JsonValue]:
        """The JSON schema that the model's answer must follow; always of an object."""
        return _schema_of(self._wire_adapter)

    def parse(self, text: str) -> T:
        """Parse the JSON in `text`, which may be inside a code fence or surrounded by prose.

        Raises:
            OutputError: there is no JSON, or it does not fit the type; the message tells a model what to fix.
        """
        try:
            parsed = self._wire_adapter.validate_json(readable_json(_extract_json(text)))
        except ValidationError as error:
            raise OutputError(f"the answer does not fit {self.name}: {validation_problems(error)}") from None
        value: T = parsed if self._wire_adapter is self.adapter else parsed.value
        return value

    def dump(self, value: T) -> JsonValue:
        """Return `value` as JSON data."""
        dumped: JsonValue = self.adapter.dump_python(value, mode="json", by_alias=True, round_trip=True)
        return dumped

    def load(self, data: JsonValue) -> T:
        """Return the value of JSON data made by `dump`."""
        # By way of JSON text: in strict mode pydantic accepts a date, say, as a string only there.
        return self.adapter.validate_json(to_json(data))


def _schema_of(adapter: TypeAdapter[Any]) -> dict[str, JsonValue]:
    try:
        return adapter.json_schema()
    except PydanticInvalidForJsonSchema as error:
        why = str(error).partition("\n")[0]
        raise ConfigurationError(f"output_type has no JSON schema: {why}", hint="give a pydantic model") from error


def _extract_json(text: str) -> str:
    """Return the outermost JSON object in `text`, or `text` itself if there is none."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
