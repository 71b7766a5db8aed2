"""Canonical keys of typed values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import to_jsonable_python


def typed(value: object) -> str:
    """Return the key of a value, its canonical JSON. Two values are the same answer if all of their fields are equal.

    The order of members of mappings and sets is ignored, and 1.0 equals 1. None is an answer, too: where the output
    type allows it, it may be the right one.
    """
    return _json(value)


def field(name: str, *names: str) -> Callable[[object], str]:
    """Return a key function that compares only these fields, so that, for example, reasons may differ.

    The value is an object with these attributes, or a mapping. None is a value like any other.
    """

    def key(value: object) -> str:
        return typed([value[each] if isinstance(value, Mapping) else getattr(value, each) for each in (name, *names)])

    return key


def _json(value: object) -> str:
    """Return JSON with sorted keys and no spaces. Parts are joined as text, so that any set can be sorted."""
    if isinstance(value, RootModel):
        return _json(value.root)
    if isinstance(value, BaseModel):
        # By its fields, not as it is written: aliases, exclusions and serializers do not make two answers equal.
        return _json(dict(value))
    if is_dataclass(value) and not isinstance(value, type):
        return _json({each.name: getattr(value, each.name) for each in fields(value)})
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{_json(name)}:{_json(each)}" for name, each in value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "[" + ",".join(sorted(map(_json, value))) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        value = int(value)
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: object) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, Decimal) and value.is_finite():
        return str(value.normalize())
    return to_jsonable_python(value, fallback=_described)


def _described(value: object) -> str:
    """Return the text of a value of an unknown type: by its attributes, if its `repr` only tells where it is."""
    if type(value).__repr__ is object.__repr__ and hasattr(value, "__dict__"):
        return f"{type(value).__qualname__}{_json(vars(value))}"
    return repr(value)
