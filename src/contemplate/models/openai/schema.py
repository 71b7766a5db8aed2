"""JSON schemas in the subset that OpenAI's strict mode takes.

https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from pydantic import JsonValue

_UNSUPPORTED = frozenset({"minLength", "maxLength", "default", "title", "uniqueItems"})
_NAMED_SCHEMAS = frozenset({"properties", "$defs"})


def strict(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """`schema` with every object closed, every property required, and the unsupported keywords left out."""
    kept: dict[str, JsonValue] = {}
    for keyword, value in schema.items():
        if keyword in _UNSUPPORTED:
            continue
        if keyword in _NAMED_SCHEMAS and isinstance(value, dict):
            kept[keyword] = {name: _strict_value(inner) for name, inner in value.items()}
        else:
            kept[keyword] = value if keyword in ("enum", "const") else _strict_value(value)
    properties = kept.get("properties")
    if kept.get("type") == "object" or isinstance(properties, dict):
        kept["additionalProperties"] = False
        kept["required"] = list(properties) if isinstance(properties, dict) else []
    return kept


def _strict_value(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return strict(value)
    if isinstance(value, list):
        return [_strict_value(item) for item in value]
    return value
