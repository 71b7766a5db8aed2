"""Write a schema in normal form in what a dialect understands.

What it does not understand is left out, which allows more, and told in the description instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from .dialects import Rules
from .nodes import (
    Anything,
    Array,
    Node,
    NormalSchema,
    Object,
    Property,
    Reference,
    Scalar,
    Union,
    described,
    inner_nodes,
    union_of,
)
from .patterns import in_grammar, without_assertions

_TYPES = ("object", "array", "string", "number", "boolean", "null")
_REPETITIONS = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
_READERS: dict[str, Callable[[str], str | None]] = {
    "ecma": str,
    "no_assertions": without_assertions,
    "grammar": in_grammar,
}
_INTEGER_BOUNDS = {"exclusiveMinimum": ("minimum", 1), "exclusiveMaximum": ("maximum", -1)}
# Of what is resolved where it is referred to; a schema of which each part is used twice by the next one has no bounds.
_MOST_INLINED = 2000
# Numbers of more digits are not written by llama.cpp's grammars.
_MOST_BOUND = 10**15


class InexpressibleError(Exception):
    """The dialect has no schema that allows all that the type allows."""


class Fitting:
    """Writes `schema` by `rules`.

    Args:
        schema: a schema in normal form.
        rules: those of a dialect.
        optional: whether a property with a default may be left out where all properties must be there.
    """

    def __init__(self, schema: NormalSchema, rules: Rules, *, optional: bool = False) -> None:
        self._schema = schema
        self._rules = rules
        self._optional = optional
        self._recursive = {name for name in schema.definitions if self._reaches(name)}
        self._inlined = 0
        self._used: dict[str, None] = {}
        self.looser = schema.looser

    def written(self) -> dict[str, JsonValue]:
        """Return the schema.

        Raises:
            InexpressibleError: it would not allow all that the type allows.
        """
        root = self._schema.root
        if self._rules.root_object and isinstance(root, Union):
            root = self._one_object(root)
        result = self._node(root)
        definitions: dict[str, JsonValue] = {}
        while waiting := [name for name in self._used if name not in definitions]:
            for name in waiting:
                definitions[name] = self._node(self._schema.definitions[name])
        return {"$defs": definitions, **result} if definitions else result

    def _node(self, node: Node) -> dict[str, JsonValue]:
        if isinstance(node, Reference):
            return self._reference(node)
        if isinstance(node, Union):
            return self._described({"anyOf": [self._node(each) for each in node.members]}, node.description)
        if isinstance(node, Scalar):
            return self._scalar(node)
        if isinstance(node, Array):
            return self._array(node)
        if isinstance(node, Object):
            return self._object(node)
        return self._anything(node)

    def _anything(self, node: Anything) -> dict[str, JsonValue]:
        if self._rules.any_value == "refused":
            raise InexpressibleError
        every: list[JsonValue] = [{"type": each} for each in _TYPES]
        return self._described({} if self._rules.any_value == "empty" else {"anyOf": every}, node.description)

    def _reference(self, node: Reference) -> dict[str, JsonValue]:
        if node.name in self._recursive and self._rules.recursion == "refused":
            raise InexpressibleError
        if self._rules.inlined and node.name not in self._recursive and self._inlined < _MOST_INLINED:
            self._inlined += 1
            inner = self._schema.definitions[node.name]
            return self._node(described(inner, node.description or inner.description))
        self._used[node.name] = None
        reference: dict[str, JsonValue] = {"$ref": f"#/$defs/{node.name}"}
        # Several servers refuse keywords beside a reference.
        return {"anyOf": [reference], "description": node.description} if node.description else reference

    def _scalar(self, node: Scalar) -> dict[str, JsonValue]:
        hints: dict[str, JsonValue] = {}
        result: dict[str, JsonValue] = {"type": node.type}
        if node.enum is not None and node.type in self._rules.enum_types:
            result["enum"] = list(node.enum)
        elif node.enum is not None:
            hints["enum"] = list(node.enum)
        for keyword, value in node.keywords.items():
            name, bound = self._bound(node.type, keyword, value)
            kept = self._kept(name, bound)
            if kept is not None:
                result[name] = kept
            if kept is None or kept != bound:
                hints[keyword] = value
        return self._described(result, node.description, hints)

    def _bound(self, kind: str, keyword: str, value: JsonValue) -> tuple[str, JsonValue]:
        """Return a bound as the dialect knows it, with the same numbers within it, if it can be."""
        if isinstance(value, bool) or not isinstance(value, int | float) or keyword == "multipleOf":
            return keyword, value
        name, step = _INTEGER_BOUNDS.get(keyword, (keyword, 0))
        if kind != "integer" or name not in ("minimum", "maximum") or not math.isfinite(value):
            return keyword, value
        if name == "minimum":
            return name, math.floor(value) + 1 if step else math.ceil(value)
        return name, math.ceil(value) - 1 if step else math.floor(value)

    def _kept(self, keyword: str, value: JsonValue) -> JsonValue:
        """Return the value of a keyword as it is sent, None if it is not."""
        rules = self._rules
        if keyword == "pattern" and keyword in rules.keywords and isinstance(value, str):
            pattern = _READERS[rules.patterns](value)
            self.looser |= pattern != value
            return pattern
        known = keyword in rules.keywords
        if keyword == "format":
            return value if known and isinstance(value, str) and value in rules.formats else None
        if rules.most_repetitions is not None and isinstance(value, int | float):
            known = known and abs(value) <= (rules.most_repetitions if keyword in _REPETITIONS else _MOST_BOUND)
        self.looser |= not known
        return value if known else None

    def _array(self, node: Array) -> dict[str, JsonValue]:
        fixed = node.items is None and node.least == node.most == len(node.prefix)
        result: dict[str, JsonValue] = {"type": "array"}
        if node.prefix and fixed and self._rules.tuples:
            result["prefixItems"] = [self._node(each) for each in node.prefix]
        elif node.prefix:
            alike = union_of([*node.prefix, *([] if node.items is None else [node.items])])
            self.looser |= isinstance(alike, Union | Anything)
            result["items"] = self._node(alike)
        else:
            # No value is of an empty array's items.
            result["items"] = self._node(Scalar("null") if node.items is None else node.items)
        hints: dict[str, JsonValue] = {}
        for keyword, value in (("minItems", node.least or None), ("maxItems", node.most), ("uniqueItems", node.unique)):
            if value is None or value is False:
                continue
            kept = self._kept(keyword, value)
            (hints if kept is None else result)[keyword] = value
        return self._described(result, node.description, hints)

    def _object(self, node: Object) -> dict[str, JsonValue]:
        if self._rules.strict and (node.rest is not None or any(map(self._omitted, node.properties.values()))):
            raise InexpressibleError
        if self._rules.patterns == "grammar" and node.rest is not None and not all(map(_plain, node.properties)):
            # llama.cpp writes the letters of the names into classes of characters, as they are.
            self.looser = True
            return self._described({"type": "object"}, node.description)
        result: dict[str, JsonValue] = {"type": "object"}
        if node.properties or node.rest is None:
            result["properties"] = {name: self._property(each) for name, each in node.properties.items()}
            result["required"] = [name for name, each in node.properties.items() if self._required(each)]
        if node.rest is None:
            self.looser |= not self._rules.closing
            if self._rules.closing:
                result["additionalProperties"] = False
        elif isinstance(node.rest, Anything):
            # What is left to it if nothing is said. The schema {} means an object to llama.cpp.
            if self._rules.closing:
                result["additionalProperties"] = True
        else:
            result["additionalProperties"] = self._node(node.rest)
        return self._described(result, node.description)

    def _property(self, each: Property) -> dict[str, JsonValue]:
        written = self._node(each.node)
        if self._rules.strict and each.default and each.default[0] is not None:
            # Nobody else tells the model what it is expected to write if there is nothing to say.
            return self._hinted(written, {"default": each.default[0]})
        return written

    def _required(self, each: Property) -> bool:
        if self._rules.strict:
            return True
        if each.required and self._rules.recursion == "optional" and self._holds_recursion(each.node):
            self.looser = True
            return False
        return each.required

    def _omitted(self, each: Property) -> bool:
        """Return whether there are values of the type that cannot be said but by leaving the property out."""
        if each.required:
            return False
        return self._optional or not each.default or (each.default[0] is None and not self._allows_null(each.node))

    def _allows_null(self, node: Node, seen: frozenset[str] = frozenset()) -> bool:
        if isinstance(node, Reference):
            inner = self._schema.definitions[node.name]
            return node.name not in seen and self._allows_null(inner, seen | {node.name})
        if isinstance(node, Union):
            return any(self._allows_null(each, seen) for each in node.members)
        return isinstance(node, Anything) or (isinstance(node, Scalar) and node.type == "null")

    def _holds_recursion(self, node: Node) -> bool:
        if isinstance(node, Reference):
            return node.name in self._recursive or self._holds_recursion(self._schema.definitions[node.name])
        return any(map(self._holds_recursion, inner_nodes(node)))

    def _reaches(self, name: str) -> bool:
        """Return whether the definition `name` refers to itself, directly or by others."""
        seen: set[str] = set()
        waiting: list[Node] = [self._schema.definitions[name]]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Reference) and node.name not in seen:
                seen.add(node.name)
                waiting.append(self._schema.definitions[node.name])
            waiting += inner_nodes(node)
        return name in seen

    def _one_object(self, union: Union) -> Node:
        """Return an object that may be any member of `union`; the union itself if one is no object."""
        members: list[Object] = []
        for member in union.members:
            seen: set[str] = set()
            while isinstance(member, Reference) and member.name not in seen:
                seen.add(member.name)
                member = self._schema.definitions[member.name]
            if not isinstance(member, Object):
                return union
            members.append(member)
        self.looser = True
        names = dict.fromkeys(name for member in members for name in member.properties)
        properties: dict[str, Property] = {}
        for name in names:
            found = [member.properties[name] for member in members if name in member.properties]
            everywhere = len(found) == len(members) and all(each.required for each in found)
            properties[name] = Property(union_of([each.node for each in found]), everywhere)
        rests = [member.rest for member in members]
        rest = None if all(each is None for each in rests) else Anything()
        return Object(properties, rest, union.description)

    def _described(
        self, result: dict[str, JsonValue], description: str, hints: Mapping[str, JsonValue] | None = None
    ) -> dict[str, JsonValue]:
        if description:
            result["description"] = description
        return self._hinted(result, hints) if hints else result

    def _hinted(self, result: dict[str, Any], hints: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        told = ", ".join(f"{name}: {_said(value)}" for name, value in hints.items())
        if "$ref" in result:
            return {"anyOf": [result], "description": f"({told})"}
        description = result.get("description")
        return {**result, "description": f"{description} ({told})" if description else f"({told})"}


def _said(value: JsonValue) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _plain(name: str) -> bool:
    return re.fullmatch(r"\w+", name, re.ASCII) is not None
