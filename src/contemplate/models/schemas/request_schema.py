"""The schema that is sent to a server in its dialect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from .dialect_writer import Fitting, InexpressibleError
from .dialects import RULES, Rules, SchemaDialect
from .nodes import NormalSchema
from .normal_form import normal_form
from .plain_schemas import as_it_is, is_closed
from .sizes import within_limits

# For servers that take any schema of an object as long as they need not enforce it.
_PLAIN = Rules(root_object=True)


@dataclass(frozen=True)
class SentSchema:
    """A schema as a server understands it. It allows all that the original allows, and is not to be changed.

    Attributes:
        schema: the schema.
        strict: whether the server may be asked to enforce it strictly.
        looser: whether it allows what the original does not, so that an answer is still to be checked.
    """

    schema: dict[str, JsonValue]
    strict: bool
    looser: bool


def sent_schema(schema: dict[str, JsonValue], dialect: SchemaDialect, *, optional: bool = False) -> SentSchema:
    """Return `schema`, which describes an object, as it is sent to a server of `dialect`.

    Where a strict dialect cannot say all that the schema allows, it is sent as it is, to be asked for without strict
    mode. Objects whose schema says nothing of other properties than those that it names are closed, as pydantic's are.

    Args:
        schema: a JSON schema, such as pydantic makes for what is validated.
        dialect: what the server understands.
        optional: whether properties with a default may be left out, as in the arguments of tools; else they are
            required where all properties have to be.
    """
    return _sent(to_json(schema), dialect, optional)


# A run sends the same few schemas again and again.
@lru_cache(maxsize=512)
def _sent(text: bytes, dialect: SchemaDialect, optional: bool) -> SentSchema:
    schema = from_json(text)
    if dialect == "json_schema":
        return SentSchema(as_it_is(schema), is_closed(schema), False)
    rules = RULES[dialect]
    normal = normal_form(schema)
    try:
        fitting = Fitting(normal, rules, optional=optional)
        written = fitting.written()
    except InexpressibleError:
        return _plain(schema, normal)
    if rules.strict and not (written.get("type") == "object" and within_limits(written)):
        return _plain(schema, normal)
    return SentSchema(written, True, fitting.looser)


def _plain(schema: dict[str, JsonValue], normal: NormalSchema) -> SentSchema:
    if schema.get("type") == "object" and not schema.keys() & {"anyOf", "oneOf", "allOf", "enum", "not", "$ref"}:
        return SentSchema(as_it_is(schema), False, False)
    fitting = Fitting(normal, _PLAIN)
    return SentSchema(fitting.written(), False, fitting.looser)
