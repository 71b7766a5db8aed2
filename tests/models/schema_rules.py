"""What servers take as a schema, told independently of what writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from contemplate.models.schemas import SchemaDialect

ANY = frozenset({"type", "description", "properties", "required", "additionalProperties", "items", "anyOf", "enum"})
BOUNDS = frozenset({"minimum", "maximum", "minItems", "maxItems"})
OPENAI_FORMATS = "date-time time date duration email hostname ipv4 ipv6 uuid".split()  # noqa: SIM905


def broken_rules(schema: dict[str, Any], dialect: SchemaDialect) -> list[str]:
    """Return what a server of `dialect` would refuse in `schema`."""
    return list(_RULES[dialect](schema)) if dialect in _RULES else []


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each schema within `node`, with its path."""
    yield path, node
    if not isinstance(node, dict):
        return
    for word in ("properties", "$defs"):
        for name, each in node.get(word, {}).items():
            yield from nodes(each, f"{path}/{word}/{name}")
    for word in ("anyOf", "prefixItems"):
        for number, each in enumerate(node.get(word, [])):
            yield from nodes(each, f"{path}/{word}/{number}")
    for word in ("items", "additionalProperties"):
        if word in node:
            yield from nodes(node[word], f"{path}/{word}")


def _common(schema: dict[str, Any], keywords: frozenset[str]) -> Iterator[str]:
    for path, node in nodes(schema):
        if isinstance(node, bool):
            if not path.endswith("/additionalProperties"):
                yield f"{path}: {node}"
            continue
        known = keywords | ANY if path else keywords | ANY | {"$defs"}
        if "$ref" in node:
            known = frozenset({"$ref", "$defs"}) if not path else frozenset({"$ref"})
            name = node["$ref"].removeprefix("#/$defs/")
            if not re.fullmatch(r"\w+", name) or name not in schema.get("$defs", {}):
                yield f"{path}: {node['$ref']} is not there"
        yield from (f"{path}: {key}" for key in node.keys() - known)
        if isinstance(node.get("type", ""), list):
            yield f"{path}: many types"
        values = node.get("enum", [None])
        if not values or len({type(each) for each in values} - {int, float}) > 1:
            yield f"{path}: values of many types"


def _strict(schema: dict[str, Any], keywords: frozenset[str]) -> Iterator[str]:
    yield from _common(schema, keywords)
    if schema.get("type") != "object":
        yield "the root is no object"
    for path, node in nodes(schema):
        if not isinstance(node, dict):
            continue
        if not {"type", "$ref", "anyOf"} & node.keys():
            yield f"{path}: no type"
        if node.get("type") == "array" and not {"items", "prefixItems"} & node.keys():
            yield f"{path}: no items"
        if node.get("type") == "object":
            if node.get("additionalProperties") is not False:
                yield f"{path}: open"
            if node.get("required") != list(node.get("properties", [None])):
                yield f"{path}: not all required"


def _openai(schema: dict[str, Any]) -> Iterator[str]:
    yield from _strict(schema, BOUNDS | {"pattern", "format", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
    for path, node in nodes(schema):
        if isinstance(node, dict):
            if node.get("format", "date") not in OPENAI_FORMATS:
                yield f"{path}: format"
            if re.search(r"\(\?[=!<]|\\b", node.get("pattern", "")):
                yield f"{path}: look-around"


def _closed(schema: dict[str, Any]) -> Iterator[str]:
    yield from _strict(schema, frozenset())
    yield from (f"{name}: recursive" for name in recursive(schema))


def _gemini(schema: dict[str, Any]) -> Iterator[str]:
    yield from _common(schema, BOUNDS)
    if "anyOf" in schema or "$ref" in schema:
        yield "the root is no object"
    loops = recursive(schema)
    for path, node in nodes(schema):
        if not isinstance(node, dict):
            continue
        if "enum" in node and any(isinstance(each, bool) or each is None for each in node["enum"]):
            yield f"{path}: enum"
        if node.get("additionalProperties", {}) is False:
            yield f"{path}: additionalProperties"
        for name in node.get("required", []):
            if loops & references(node["properties"][name]):
                yield f"{path}: {name} is required, and recursive"
    yield from (f"{name} is not inlined" for name in schema.get("$defs", {}) if name not in loops)


def _llama_cpp(schema: dict[str, Any]) -> Iterator[str]:
    yield from _common(schema, BOUNDS | {"pattern", "format", "minLength", "maxLength", "prefixItems"})
    for path, node in nodes(schema):
        if node == {}:
            yield f"{path}: any object"
        if not isinstance(node, dict):
            continue
        if node.get("format", "date") not in ("date", "uuid"):
            yield f"{path}: format"
        if any(node.get(word, 0) >= 2000 for word in ("minLength", "maxLength", "minItems", "maxItems")):
            yield f"{path}: repetitions"
        if node.get("type") == "integer" and any(not isinstance(node.get(each, 0), int) for each in BOUNDS):
            yield f"{path}: bound of an integer"
        pattern = node.get("pattern", "^a$")
        if not (pattern.startswith("^") and pattern.endswith("$") and pattern.isascii()) or re.search(
            r"\\[a-zA-Z\\]|\(\?|\[\^", pattern
        ):
            yield f"{path}: pattern {pattern}"
        if "prefixItems" in node and not ("items" not in node and node["minItems"] == len(node["prefixItems"])):
            yield f"{path}: prefixItems"


def references(node: Any) -> set[str]:
    """Return the names of the definitions to which `node` refers."""
    return {
        each["$ref"].removeprefix("#/$defs/") for _, each in nodes(node) if isinstance(each, dict) and "$ref" in each
    }


def recursive(schema: dict[str, Any]) -> set[str]:
    """Return the names of the definitions that refer to themselves."""
    definitions = schema.get("$defs", {})
    direct = {name: references(each) for name, each in definitions.items()}
    found = set()
    for name in direct:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            new = direct[waiting.pop()] - seen
            seen |= new
            waiting += new
        if name in seen:
            found.add(name)
    return found


_RULES: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "openai": _openai,
    "closed": _closed,
    "gemini": _gemini,
    "llama_cpp": _llama_cpp,
}
