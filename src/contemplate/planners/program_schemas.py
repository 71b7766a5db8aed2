"""JSON schemas, as programs write them in short: `bool`, `[str]`, `{"verdict": str, "sure": bool}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

_TYPES: Final[Mapping[object, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
_NAMES: Final = frozenset({*_TYPES.values(), "null"})
# A dict with one of these, in which no value is a type, is a schema as it stands.
_KEYWORDS: Final = frozenset({"type", "properties", "anyOf", "oneOf", "allOf", "$ref", "enum", "const"})


def schema_of(short: object) -> dict[str, JsonValue] | None:
    """Return the JSON schema that `short` means; None for None and for text.

    Raises:
        ValueError: it means none.
    """
    if short is None or short in (str, "str", "string"):
        return None
    return _schema(short)


def _schema(short: object) -> dict[str, JsonValue]:
    if isinstance(short, list | tuple):
        if len(short) == 1:
            return {"type": "array", "items": _schema(short[0])}
        if short and all(isinstance(each, str) for each in short):
            return {"enum": list(short)}
        raise ValueError("a list has one type in it, such as [str], or the words to choose from")
    if isinstance(short, dict):
        return _object(short)
    if isinstance(short, str) and short in _NAMES:
        return {"type": short}
    if isinstance(short, str | type) and short in _TYPES:
        return {"type": _TYPES[short]}
    raise ValueError(f'{short!r} is no type; give bool, int, float, str, [str] or {{"name": type}}')


def _object(short: Mapping[object, object]) -> dict[str, JsonValue]:
    if _KEYWORDS & short.keys() and not any(isinstance(each, type) for each in short.values()):
        return {str(name): each for name, each in short.items()}  # type: ignore[misc]
    if not short:
        return {"type": "object"}
    fields: dict[str, JsonValue] = {str(name): _schema(each) for name, each in short.items()}
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
