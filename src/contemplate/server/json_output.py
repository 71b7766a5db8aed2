"""Answers that follow a JSON schema which a client sent."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from ..errors import ConfigurationError
from ..run.given_schema import type_by_schema
from .api_errors import invalid_request

Schema = dict[str, JsonValue]


def any_object() -> Any:
    """Return the type of any JSON object."""
    return type_by_schema({"type": "object"}, "object")


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
        return type_by_schema({"type": "object", **schema}, name)
    except ConfigurationError as error:
        raise invalid_request(f"{param}: {error.message}", param=param) from None
