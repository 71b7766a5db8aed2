"""The definitions of a schema, found by references."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from pydantic import JsonValue


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
            name = self._free(reference)
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

    def _free(self, reference: str) -> str:
        # llama.cpp names a rule by it, with "-" for whatever is no letter or digit, and reuses a rule of the same name.
        base = re.sub(r"[^A-Za-z0-9]+", "_", unquote(reference.rpartition("/")[2])).strip("_")[:60] or "root"
        name, number = base, 1
        while name.lower() in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name.lower())
        return name
