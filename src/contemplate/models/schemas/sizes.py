"""How large a schema is, and whether strict servers take it.

https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST_PROPERTIES = 5000
MOST_NESTED_OBJECTS = 10
MOST_CHARACTERS = 120_000
MOST_ENUM_VALUES = 1000
# An enumeration of more values than these has fewer characters.
LARGE_ENUM_VALUES = 250
MOST_LARGE_ENUM_CHARACTERS = 15_000


def within_limits(schema: dict[str, Any]) -> bool:
    """Return whether a strict schema is within OpenAI's limits of size."""
    size = _Size()
    nodes = list(_nodes(schema))
    for node in nodes:
        properties = node.get("properties", {})
        size.properties += len(properties)
        size.characters += sum(map(len, properties)) + sum(map(len, node.get("$defs", {})))
        values = node.get("enum", [])
        characters = sum(len(str(each)) for each in values)
        size.values += len(values)
        size.characters += characters
        if len(values) > LARGE_ENUM_VALUES and characters > MOST_LARGE_ENUM_CHARACTERS:
            return False
    return (
        size.properties <= MOST_PROPERTIES
        and size.characters <= MOST_CHARACTERS
        and size.values <= MOST_ENUM_VALUES
        and _depth(schema, schema.get("$defs", {}), ()) <= MOST_NESTED_OBJECTS
    )


@dataclass
class _Size:
    properties: int = 0
    characters: int = 0
    values: int = 0


def _children(node: dict[str, Any]) -> list[Any]:
    single = [node[word] for word in ("items", "additionalProperties") if word in node]
    return [*node.get("properties", {}).values(), *node.get("anyOf", []), *node.get("prefixItems", []), *single]


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in [*_children(node), *node.get("$defs", {}).values()]:
            yield from _nodes(child)


def _depth(node: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> int:
    """Return how many objects stand within each other; a definition within itself adds nothing."""
    if not isinstance(node, dict):
        return 0
    reference = node.get("$ref")
    if reference is not None:
        name = reference.rpartition("/")[2]
        return 0 if name in within else _depth(definitions[name], definitions, (*within, name))
    inner = max((_depth(child, definitions, within) for child in _children(node)), default=0)
    return inner + (node.get("type") == "object")
