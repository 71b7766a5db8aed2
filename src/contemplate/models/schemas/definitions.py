"""The definitions of a schema, found by references."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote

from pydantic import JsonValue

# What stands in them is data, and refers to nothing.
_VALUES = frozenset({"const", "default", "enum", "example", "examples"})


def nested(schema: dict[str, JsonValue], definitions: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return `schema` for a place within another one.

    References begin at the root: so what it refers to is added to `definitions`, those of the whole, under names that
    are free there.
    """
    own, names = Definitions(schema), dict[str, str]()

    def moved(value: JsonValue) -> JsonValue:
        if isinstance(value, list):
            return [moved(each) for each in value]
        return moved_object(value) if isinstance(value, dict) else value

    def moved_object(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        left_out = ("$defs", "definitions") if value is schema else ()
        return {key: each if key in _VALUES else at(key, each) for key, each in value.items() if key not in left_out}

    def at(key: str, value: JsonValue) -> JsonValue:
        return target(value) if key == "$ref" and isinstance(value, str) else moved(value)

    def target(reference: str) -> str:
        found = own.name(reference)
        if found is None:
            return reference
        if found not in names:
            names[found] = name = _free(found, definitions)
            # Taken, as it may refer to itself.
            definitions[name] = True
            definitions[name] = moved(own.schemas[found])
        return f"#/$defs/{names[found]}"

    return moved_object(schema)


def _free(name: str, taken: Collection[str]) -> str:
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


class Definitions:
    """What the references of `root` refer to, by names that every server takes: letters, digits and "_"."""

    def __init__(self, root: dict[str, JsonValue]) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self.schemas: dict[str, JsonValue] = {}

    def name(self, reference: str) -> str | None:
        """Return the name of the definition at `reference`, a JSON pointer within the schema; None if there is none.

        https://www.rfc-editor.org/rfc/rfc6901
        """
        if reference not in self._names:
            found = self.at(reference)
            if found is None:
                return None
            name = self._name_for(reference)
            self._names[reference] = name
            self.schemas[name] = found
        return self._names[reference]

    def at(self, reference: str) -> JsonValue:
        """Return the schema at `reference`; None if there is none."""
        if reference not in ("", "#") and not reference.startswith("#/"):
            return None
        found: Any = self._root
        for token in reference.split("/")[1:]:
            key = unquote(token).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                return None
        return found if isinstance(found, dict | bool) else None

    def _name_for(self, reference: str) -> str:
        # llama.cpp names a rule by it, with "-" for whatever is no letter or digit, and reuses a rule of the same name.
        base = re.sub(r"[^A-Za-z0-9]+", "_", unquote(reference.rpartition("/")[2])).strip("_")[:60] or "root"
        name, number = base, 1
        while name.lower() in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name.lower())
        return name
