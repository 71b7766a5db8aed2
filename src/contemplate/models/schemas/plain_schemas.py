"""Schemas as they are, for servers that know JSON Schema."""

from __future__ import annotations

from typing import Any

from .dialects import FORMATS

_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_VALUES = frozenset({"enum", "const", "default", "examples", "required"})


def as_it_is(node: Any) -> Any:
    """Return the schema `node` without what servers with grammars would take otherwise than pydantic means it.

    - `propertyNames` asks for numbers where the keys of a map are numbers, which no name is.
    - `format` is told in the description, if it is no usual one or demands more than the type (see `FORMATS`).
    - `oneOf` with a discriminator is `anyOf`.
    """
    if isinstance(node, list):
        return [as_it_is(each) for each in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in _MAPS and isinstance(value, dict):
            result[key] = {name: as_it_is(each) for name, each in value.items()}
        elif key not in ("propertyNames", "discriminator"):
            result[key] = value if key in _VALUES else as_it_is(value)
    if "discriminator" in node and "anyOf" not in node and "oneOf" in node:
        result["anyOf"] = result.pop("oneOf")
    if isinstance(result.get("format"), str) and result["format"] not in FORMATS:
        told = f"(format: {result.pop('format')})"
        result["description"] = f"{result['description']} {told}" if "description" in result else told
    return result


def is_closed(node: Any) -> bool:
    """Return whether all objects are closed and have all their properties, so that no strict server refuses them."""
    if isinstance(node, list):
        return all(map(is_closed, node))
    if not isinstance(node, dict):
        return True
    if "properties" in node or node.get("type") == "object":
        named, required = node.get("properties", {}), node.get("required", [])
        is_whole = isinstance(named, dict) and isinstance(required, list) and all(name in required for name in named)
        if node.get("additionalProperties") is not False or not is_whole:
            return False
        return all(map(is_closed, [*named.values(), *(value for key, value in node.items() if key != "properties")]))
    return all(map(is_closed, node.values()))
