"""Canonical keys of typed values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def typed(value: object) -> str:
    """Return the key of a value, its canonical JSON. Two values are the same answer if all of their fields are equal.

    The order of members of mappings and sets is ignored, and 1.0 equals 1. None is an answer, too: where the output
    type allows it, it may be the right one.
    """
    return _json(_ANY.dump_python(value, fallback=repr))


def field(name: str, *names: str) -> Callable[[object], str]:
    """Return a key function that compares only these fields, so that, for example, reasons may differ.

    The value is an object with these attributes, or a mapping. None is a value like any other.
    """

    def key(value: object) -> str:
        return typed([value[each] if isinstance(value, Mapping) else getattr(value, each) for each in (name, *names)])

    return key


def _json(value: object) -> str:
    """Return JSON with sorted keys and no spaces. Parts are joined as text, so that any set can be sorted."""
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{_json(name)}:{_json(each)}" for name, each in value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "[" + ",".join(sorted(map(_json, value))) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(to_jsonable_python(value, fallback=repr), ensure_ascii=False)
