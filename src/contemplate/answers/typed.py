"""Values of an output type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def typed(value: object) -> str | None:
    """The key of a value: its canonical JSON. Two values are the same answer if all of their fields are equal.

    The order of a mapping's or a set's members does not count, and 1.0 is 1. None is an abstention.
    """
    return None if value is None else _json(_ANY.dump_python(value, fallback=repr))


def field(name: str, *names: str) -> Callable[[object], str | None]:
    """A key function that compares only these fields, so that reasons may differ where answers agree.

    The value is an object with such attributes, or a mapping. Where all of the fields are None, it is an abstention.
    """

    def key(value: object) -> str | None:
        fields = [value[each] if isinstance(value, Mapping) else getattr(value, each) for each in (name, *names)]
        return None if all(each is None for each in fields) else typed(fields)

    return key


def _json(value: object) -> str:
    """JSON with its keys in order and no space. The parts are joined as text, because that can be sorted."""
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{_json(name)}:{_json(each)}" for name, each in value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "[" + ",".join(sorted(map(_json, value))) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(to_jsonable_python(value, fallback=repr), ensure_ascii=False)
