"""Answers that follow a JSON schema which a client sent."""

from __future__ import annotations

from typing import Annotated, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from pydantic import AfterValidator, JsonValue
from pydantic_core import PydanticCustomError

from ..run.output_type import GivenSchema
from .api_errors import invalid_request

Schema = dict[str, JsonValue]


def any_object() -> Any:
    """Return the type of any JSON object."""
    return _typed({"type": "object"}, "object")


def json_output(name: str, schema: Schema, param: str) -> Any:
    """Return a type whose values follow `schema`.

    Args:
        name: the name of the schema.
        schema: a JSON schema, draft 2020-12.
        param: where it stands in the request.

    Raises:
        RequestError: it is no JSON schema, or not one of an object.
    """
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise invalid_request(f"{param}: it is no JSON schema: {error.message}", param=param) from None
    return _typed(schema, name)


def _typed(schema: Schema, name: str) -> Any:
    validator = Draft202012Validator(schema)

    def check(value: Any) -> Any:
        problem = best_match(validator.iter_errors(value))
        if problem is not None:
            raise PydanticCustomError(
                "schema", "{place}: {problem}", {"place": problem.json_path, "problem": problem.message}
            )
        return value

    return Annotated[dict[str, Any], GivenSchema({"title": name, "type": "object", **schema}), AfterValidator(check)]
