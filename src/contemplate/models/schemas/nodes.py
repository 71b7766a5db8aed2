"""A JSON schema in few words: nodes of one type each, unions, and references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue


@dataclass(frozen=True)
class Anything:
    """Any value."""

    description: str = ""


@dataclass(frozen=True)
class Reference:
    """A value of a definition."""

    name: str
    description: str = ""


@dataclass(frozen=True)
class Union:
    """A value of any of the members."""

    members: tuple[Node, ...]
    description: str = ""


@dataclass(frozen=True)
class Scalar:
    """A string, number, integer, boolean or null; with an enumeration, or with keywords such as "minimum"."""

    type: str
    enum: tuple[JsonValue, ...] | None = None
    keywords: Mapping[str, JsonValue] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class Array:
    """An array: first `prefix`, one value each, then `items`; None: nothing follows."""

    items: Node | None
    prefix: tuple[Node, ...] = ()
    least: int = 0
    most: int | None = None
    unique: bool = False
    description: str = ""


@dataclass(frozen=True)
class Property:
    """A property of an object. `default` has one value, or none if there is no default."""

    node: Node
    required: bool
    default: tuple[JsonValue, ...] = ()


@dataclass(frozen=True)
class Object:
    """An object; `rest` is what other properties may be, None if there are none."""

    properties: Mapping[str, Property] = field(default_factory=dict)
    rest: Node | None = None
    description: str = ""


Node = Anything | Reference | Union | Scalar | Array | Object


@dataclass(frozen=True)
class NormalSchema:
    """A schema in normal form. `looser`: it allows more than the original."""

    root: Node
    definitions: Mapping[str, Node]
    looser: bool


def inner_nodes(node: Node) -> Iterator[Node]:
    """Yield the nodes directly within `node`."""
    if isinstance(node, Union):
        yield from node.members
    elif isinstance(node, Array):
        yield from node.prefix
        if node.items is not None:
            yield node.items
    elif isinstance(node, Object):
        yield from (each.node for each in node.properties.values())
        if node.rest is not None:
            yield node.rest


def union_of(members: list[Node], description: str = "") -> Node:
    """Return the union of `members`, without unions in it, nor the same member twice."""
    flat: list[Node] = []
    for member in members:
        inner = member.members if isinstance(member, Union) and not member.description else (member,)
        flat += [each for each in inner if each not in flat]
    if not flat or any(isinstance(each, Anything) for each in flat):
        return Anything(description)
    if len(flat) == 1 and not (description and flat[0].description):
        return described(flat[0], description or flat[0].description)
    return Union(tuple(flat), description)


def described(node: Node, description: str) -> Node:
    """Return `node` with `description`."""
    return replace(node, description=description)
