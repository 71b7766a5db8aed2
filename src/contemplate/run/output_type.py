"""Typed output: the JSON schema of a Python type, and parsing a model's text as a value of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, partial
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, get_origin

from pydantic import BaseModel, JsonValue, RootModel, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import from_json, to_json, to_jsonable_python
from pydantic_core.core_schema import WithDefaultSchema

from ..answers.typed import typed
from ..data import readable_json
from ..errors import ConfigurationError, OutputError, error_info, validation_problems

T = TypeVar("T")


@dataclass(frozen=True)
class GivenSchema:
    """An annotation of a type: the JSON schema of an object, as somebody else wrote it.

    Pydantic is not shown it, as it would look for what the schema refers to among its own definitions.
    """

    schema: dict[str, JsonValue]


def given_schema_of(type_: Any) -> dict[str, JsonValue] | None:
    """Return the schema with which a type is annotated, of an object that somebody else described; None without one."""
    annotations = getattr(type_, "__metadata__", ())
    return next((each.schema for each in annotations if isinstance(each, GivenSchema)), None)


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
        if get_origin(self.type) is Annotated:
            raw = str(self._own_schema.get("title", raw))
        return re.sub(r"[^A-Za-z0-9_-]", "_", raw)[:64]

    @cached_property
    def adapter(self) -> TypeAdapter[T]:
        """Pydantic's adapter for the type.

        Raises:
            ConfigurationError: pydantic cannot validate the type.
        """
        if self.type is None or isinstance(self.type, str):
            raise ConfigurationError(f"output_type is {self.type!r:.80}", hint="give a type; `str` is text")
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
        if self._given is not None or self._own_schema.get("type") == "object":
            return self.adapter
        return TypeAdapter(create_model(self.name, value=(self.type, ...)))

    @cached_property
    def json_schema(self) -> dict[str, JsonValue]:
        """The JSON schema that the model's answer must follow; always of an object."""
        return _schema_of(self._wire_adapter) if self._given is None else self._given

    @cached_property
    def _given(self) -> dict[str, JsonValue] | None:
        return given_schema_of(self.type)

    @property
    def _own_schema(self) -> dict[str, JsonValue]:
        return _schema_of(self.adapter) if self._given is None else self._given

    def parse(self, text: str) -> T:
        """Parse the JSON in `text`, which may be inside a code fence or surrounded by prose.

        Raises:
            OutputError: there is no JSON, or it does not fit the type; the message tells a model what to fix.
        """
        try:
            parsed = self._wire_adapter.validate_json(readable_json(_extract_json(text)))
        except Exception as error:
            # A validator of the user's may raise anything.
            raise OutputError(f"the answer does not fit {self.name}: {_problem(error)}") from None
        value: T = parsed if self._wire_adapter is self.adapter else parsed.value
        return value

    def value_of(self, given: Any, text: str) -> T:
        """Return the value of an answer: `given`, which may be its JSON data; if that is None, the one in `text`.

        Raises:
            OutputError: neither is of the type.
        """
        if given is None:
            return self._in_text(text)
        if isinstance(self.type, type) and issubclass(self.type, BaseModel) and isinstance(given, self.type):
            return given
        try:
            value = self.adapter.validate_python(given)
        except Exception as error:
            try:
                return self.adapter.validate_json(to_json(given))
            except Exception:
                raise OutputError(f"the answer's output does not fit {self.name}: {_problem(error)}") from None
        # Validating a value once more may change it.
        kept: T = given if _alike(given, value) else value
        return kept

    def _in_text(self, text: str) -> T:
        try:
            return self.parse(text)
        except OutputError:
            # None is an answer in some types.
            with suppress(Exception):
                return self.adapter.validate_python(None)
            raise

    def dump(self, value: T) -> JsonValue:
        """Return `value` as JSON data to be stored, in a form that `load` reads, if there is one for the type.

        None if the type cannot be written at all.
        """
        for form in _FORMS:
            if self._reads(form, value):
                return form.dump(self.adapter, value)
        try:
            return _FORMS[0].dump(self.adapter, value)
        except Exception:
            return None

    def load(self, data: JsonValue, text: str) -> T:
        """Return the value whose JSON data `dump` made; `text` is the answer that it was parsed from, if it was.

        Of what the text and the data may mean, it is the one that `dump` writes in the same way.

        Raises:
            OutputError: there is no such value.
        """
        readings: list[Callable[[], T]] = [lambda: self.parse(text)]
        readings += [partial(form.load, self.adapter, data) for form in _FORMS]
        for read in readings:
            # Validators and serializers are the user's, and may raise anything.
            with suppress(Exception):
                value = read()
                if self.dump(value) == data:
                    return value
        raise OutputError(f"what is stored does not fit {self.name}")

    def _reads(self, form: _Form, value: T) -> bool:
        try:
            return typed(form.load(self.adapter, form.dump(self.adapter, value))) == typed(value)
        except Exception:
            return False


class _Form(NamedTuple):
    """A form of a value as JSON data, which some types can read, and others cannot."""

    dump: Callable[[TypeAdapter[Any], Any], JsonValue]
    load: Callable[[TypeAdapter[Any], JsonValue], Any]


def _fields(value: Any) -> Any:
    """Return the fields of a value by their names, whatever aliases, exclusions and serializers its type has."""
    if isinstance(value, RootModel):
        return _fields(value.root)
    if isinstance(value, BaseModel):
        return {name: _fields(each) for name, each in value}
    if is_dataclass(value):
        return {each.name: _fields(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: _fields(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_fields(each) for each in value]
    return value


# All by way of JSON text: in strict mode pydantic accepts a date, say, as a string only there.
_FORMS = (
    _Form(
        lambda adapter, value: adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False),
        lambda adapter, data: adapter.validate_json(to_json(data)),
    ),
    _Form(
        lambda adapter, value: to_jsonable_python(_fields(value)),
        lambda adapter, data: adapter.validate_json(to_json(data), by_alias=False, by_name=True),
    ),
)


def _alike(given: Any, value: Any) -> bool:
    """Return whether two values have the same types, as far as they are made of containers."""
    if type(given) is not type(value):
        return False
    if isinstance(given, (list, tuple)):
        return len(given) == len(value) and all(map(_alike, given, value))
    if isinstance(given, dict):
        return given.keys() == value.keys() and all(_alike(given[name], value[name]) for name in given)
    return True


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return validation_problems(error)
    return f"{type(error).__name__}: {error_info(error).message}"


class _SchemaWithDefaults(GenerateJsonSchema):
    """JSON schemas that also tell the defaults that a factory makes, if it makes an empty value.

    A property without a default may be left out of some values, so that strict servers could not write them.
    """

    def get_default_value(self, schema: WithDefaultSchema) -> Any:
        factory: Any = schema.get("default_factory")
        return factory() if factory in _EMPTY else super().get_default_value(schema)


_EMPTY = (list, dict, set, frozenset, tuple, str)


def _schema_of(adapter: TypeAdapter[Any]) -> dict[str, JsonValue]:
    try:
        return adapter.json_schema(schema_generator=_SchemaWithDefaults)
    except PydanticInvalidForJsonSchema as error:
        why = str(error).partition("\n")[0]
        raise ConfigurationError(f"output_type has no JSON schema: {why}", hint="give a pydantic model") from error


def json_in(text: str) -> Any:
    """Return the data of the JSON in `text`.

    Raises:
        ValueError: there is none.
    """
    return from_json(readable_json(_extract_json(text)))


def _extract_json(text: str) -> str:
    """Return the outermost JSON object in `text`, or `text` itself if there is none."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
