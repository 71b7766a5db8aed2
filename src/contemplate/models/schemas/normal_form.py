"""Bring any JSON schema into normal form.

What has no place there (conditions, negations, dependencies, names of properties) is left out, which allows more.
"""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from .definitions import Definitions
from .nodes import Anything, Array, Node, NormalSchema, Object, Property, Reference, Scalar, described, union_of

Schema = dict[str, JsonValue]

_ANNOTATIONS = frozenset(
    {
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "discriminator",
        "example",
        "examples",
        "readOnly",
        "title",
        "writeOnly",
    }
)
_NUMERIC = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_OF_TYPE = {
    "object": frozenset({"properties", "required", "additionalProperties", "patternProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": _NUMERIC,
    "integer": _NUMERIC,
    "boolean": frozenset[str](),
    "null": frozenset[str](),
}
_GUESSED = ("object", "array", "string", "number")


def normal_form(schema: Schema) -> NormalSchema:
    """Return `schema` in normal form, with the definitions that it uses."""
    reader = _Reader(schema)
    root = reader.node(schema)
    definitions: dict[str, Node] = {}
    while len(definitions) < len(reader.definitions.schemas):
        for name, each in list(reader.definitions.schemas.items()):
            if name not in definitions:
                definitions[name] = reader.node(each)
    if isinstance(root, Reference):
        root = _resolved(root, definitions)
    return NormalSchema(root, definitions, reader.looser)


def _resolved(root: Node, definitions: dict[str, Node]) -> Node:
    seen: set[str] = set()
    while isinstance(root, Reference) and root.name not in seen:
        seen.add(root.name)
        inner = definitions[root.name]
        root = described(inner, root.description or inner.description)
    return root


class _Reader:
    def __init__(self, root: Schema) -> None:
        self.definitions = Definitions(root)
        self.looser = False

    def node(self, schema: JsonValue) -> Node:
        if not isinstance(schema, dict):
            # The schema `false` allows nothing, which no server can say.
            self.looser |= schema is False
            return Anything()
        description = schema.get("description")
        found = self._node(schema)
        return described(found, description) if isinstance(description, str) and description else found

    def _node(self, schema: Schema) -> Node:
        if isinstance(schema.get("allOf"), list):
            schema = self._merged(schema, ())
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._reference(reference, schema)
        if schema.get("nullable") is True and "type" in schema:
            plain = {name: value for name, value in schema.items() if name not in ("nullable", "description")}
            return union_of([self.node(plain), Scalar("null")])
        if "enum" in schema or "const" in schema:
            return self._enumeration(schema)
        for word in ("anyOf", "oneOf"):
            members = schema.get(word)
            if isinstance(members, list) and members and "properties" not in schema:
                return self._union(members, schema, word)
        types = schema.get("type")
        if isinstance(types, list):
            known = [each for each in types if isinstance(each, str)]
            return union_of([self._typed(each, schema) for each in known]) if known else Anything()
        if isinstance(types, str):
            return self._typed(types, schema)
        guessed = next((each for each in _GUESSED if _OF_TYPE[each] & schema.keys()), None)
        if guessed is None:
            self._note_unread(schema, frozenset())
            return Anything()
        return self._typed(guessed, schema)

    def _reference(self, reference: str, schema: Schema) -> Node:
        self._note_unread(schema, frozenset({"$ref"}))
        name = self.definitions.name(reference)
        self.looser |= name is None
        return Anything() if name is None else Reference(name)

    def _union(self, members: list[JsonValue], schema: Schema, word: str) -> Node:
        # What stands beside a union holds for each of its members.
        beside = {key: value for key, value in schema.items() if key not in _ANNOTATIONS | {"anyOf", "oneOf", word}}
        self.looser |= word == "oneOf" and "discriminator" not in schema
        self.looser |= "anyOf" in schema and "oneOf" in schema
        nodes: list[Node] = []
        for member in members:
            if member is False:
                continue
            if not isinstance(member, dict):
                return Anything()
            self.looser |= any(member.get(key, value) != value for key, value in beside.items())
            nodes.append(self.node({**beside, **member}))
        return union_of(nodes)

    def _enumeration(self, schema: Schema) -> Node:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list) or not values:
            return Anything()
        said = schema.get("type")
        self._note_unread(schema, frozenset({"const", "enum", "type"}))
        groups: dict[str, list[JsonValue]] = {}
        for value in values:
            kind = _type_of(value)
            group = groups.setdefault(kind, [])
            of_type = said is None or kind in _names(said) or (kind == "integer" and "number" in _names(said))
            if of_type and value not in group:
                group.append(value)
        nodes: list[Node] = []
        for kind, group in groups.items():
            if not group:
                continue
            if kind in ("object", "array"):
                self.looser = True
                nodes.append(self._typed(kind, {}))
            else:
                nodes.append(Scalar(kind, None if kind == "null" else tuple(group)))
        return union_of(nodes)

    def _typed(self, kind: str, schema: Schema) -> Node:
        if kind not in _OF_TYPE:
            self.looser = True
            return Anything()
        others = frozenset().union(*_OF_TYPE.values()) if isinstance(schema.get("type"), list) else frozenset[str]()
        self._note_unread(schema, _OF_TYPE[kind] | others | {"type", "format"})
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        return Scalar(kind, None, {key: schema[key] for key in sorted(_OF_TYPE[kind] & schema.keys())})

    def _array(self, schema: Schema) -> Node:
        prefix = schema.get("prefixItems")
        first = tuple(map(self.node, prefix)) if isinstance(prefix, list) else ()
        most = schema.get("maxItems")
        items = schema.get("items", True)
        if isinstance(items, list):
            # A tuple, in drafts before 2020-12.
            first, items = tuple(map(self.node, items)), schema.get("additionalItems", True)
        ends = items is False or (isinstance(most, int) and most <= len(first))
        least = schema.get("minItems", 0)
        return Array(
            None if ends else self.node(items),
            first,
            least if isinstance(least, int) else 0,
            most if isinstance(most, int) else len(first) if items is False else None,
            schema.get("uniqueItems") is True,
        )

    def _object(self, schema: Schema) -> Node:
        given = schema.get("properties")
        properties = given if isinstance(given, dict) else {}
        required = schema.get("required")
        names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        self.looser |= any(name not in properties for name in names)
        found = {name: self._property(each, name in names) for name, each in properties.items()}
        return Object(found, self._rest(schema))

    def _property(self, schema: JsonValue, required: bool) -> Property:
        default = (schema["default"],) if isinstance(schema, dict) and "default" in schema else ()
        return Property(self.node(schema), required, default)

    def _rest(self, schema: Schema) -> Node | None:
        # An object with named properties that says nothing of others has no others: so pydantic means it.
        rest = schema.get("additionalProperties", "properties" not in schema and "patternProperties" not in schema)
        patterns = schema.get("patternProperties")
        if not isinstance(patterns, dict) or not patterns:
            return None if rest is False else self.node(rest)
        self.looser = True
        return union_of([*map(self.node, patterns.values()), *([] if rest is False else [self.node(rest)])])

    def _merged(self, schema: Schema, seen: tuple[str, ...]) -> Schema:
        """Return one schema for the members of `allOf` and what stands beside them."""
        members = schema["allOf"]
        assert isinstance(members, list)  # noqa: S101
        merged: dict[str, Any] = {}
        closed = 0
        for member in [*members, {key: value for key, value in schema.items() if key != "allOf"}]:
            each = self._member(member, seen)
            closed += "properties" in each
            for key, value in each.items():
                if key == "properties" and isinstance(value, dict):
                    merged[key] = self._both(merged.get(key, {}), value)
                elif key == "required" and isinstance(value, list):
                    merged[key] = [*merged.get(key, []), *value]
                elif key not in merged or key in _ANNOTATIONS:
                    merged[key] = value
                else:
                    self.looser |= merged[key] != value
        if closed > 1 and merged.pop("additionalProperties", True) is not True:
            self.looser = True
        return merged

    def _member(self, member: JsonValue, seen: tuple[str, ...]) -> Schema:
        if not isinstance(member, dict):
            self.looser |= member is False
            return {}
        reference = member.get("$ref")
        if isinstance(reference, str):
            target = None if reference in seen else self.definitions.at(reference)
            self.looser |= target is None
            beside = {key: value for key, value in member.items() if key != "$ref"}
            inner = self._member(target, (*seen, reference)) if isinstance(target, dict) else {}
            return {**inner, **beside}
        return self._merged(member, seen) if isinstance(member.get("allOf"), list) else member

    def _both(self, one: Schema, other: Schema) -> Schema:
        both = {**one, **other}
        for name in one.keys() & other.keys():
            if one[name] != other[name]:
                both[name] = {"allOf": [one[name], other[name]]}
        return both

    def _note_unread(self, schema: Schema, read: frozenset[str]) -> None:
        self.looser |= bool(schema.keys() - read - _ANNOTATIONS)


def _names(types: JsonValue) -> list[JsonValue]:
    return types if isinstance(types, list) else [types]


def _type_of(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    kinds = {str: "string", int: "integer", list: "array", dict: "object", type(None): "null"}
    return kinds[type(value)]
