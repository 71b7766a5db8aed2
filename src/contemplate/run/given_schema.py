"""Types whose values follow a JSON schema that somebody else wrote: a client, a program, a planner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, JsonValue, WithJsonSchema
from pydantic_core import PydanticCustomError

from ..errors import ConfigurationError, MissingDependencyError
from .output_type import GivenSchema

# What a schema may say of values that are no objects, without naming their type.
_OF_VALUES = frozenset({"type", "enum", "const", "anyOf", "oneOf"})


def type_by_schema(schema: Mapping[str, JsonValue], name: str) -> Any:
    """Return a type whose values follow `schema`, for `OutputType`.

    Args:
        schema: a JSON schema, draft 2020-12. One that is not of an object may not refer to definitions of its own.
        name: the name of the schema.

    Raises:
        ConfigurationError: it is no JSON schema; the message tells what is wrong.
        MissingDependencyError: no extra is installed that checks JSON schemas.
    """
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError, best_match
    except ModuleNotFoundError:
        raise MissingDependencyError("an answer by a JSON schema", "code") from None
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ConfigurationError(f"it is no JSON schema: {error.message}") from None
    validator = Draft202012Validator(dict(schema))

    def check(value: Any) -> Any:
        problem = best_match(validator.iter_errors(value))
        if problem is not None:
            raise PydanticCustomError(
                "schema", "{place}: {problem}", {"place": problem.json_path, "problem": problem.message}
            )
        return value

    if schema.get("type") == "object" or not _OF_VALUES & schema.keys():
        whole = {"title": name, "type": "object", **schema}
        return Annotated[dict[str, Any], GivenSchema(whole), AfterValidator(check)]
    return Annotated[Any, WithJsonSchema({"title": name, **schema}), AfterValidator(check)]
