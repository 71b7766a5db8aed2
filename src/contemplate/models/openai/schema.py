"""Convert JSON schemas to the subset that OpenAI's strict mode accepts.

https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from pydantic import JsonValue

_UNSUPPORTED = frozenset({"minLength", "maxLength", "default", "title", "uniqueItems"})
_NAMED_SCHEMAS = frozenset({"properties", "$defs"})


def strict(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return `schema` with every object closed, every property required, and unsupported keywords removed."""
    result: dict[str, JsonValue] = {}
    for keyword, value in schema.items():
        if keyword in _UNSUPPORTED:
            continue
        if keyword in _NAMED_SCHEMAS and isinstance(value, dict):
            result[keyword] = {name: _strict_value(inner) for name, inner in value.items()}
        else:
            result[keyword] = value if keyword in ("enum", "const") else _strict_value(value)
    properties = result.get("properties")
    if result.get("type") == "object" or isinstance(properties, dict):
        result["additionalProperties"] = False
        result["required"] = list(properties) if isinstance(properties, dict) else []
    return result


def _strict_value(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return strict(value)
    if isinstance(value, list):
        return [_strict_value(item) for item in value]
    return value
