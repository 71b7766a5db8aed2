"""Values of an output type."""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import to_json


def typed(value: object) -> str | None:
    """The key of a value: its JSON. Two values are the same answer if all of their fields are equal."""
    return None if value is None else to_json(value, fallback=repr).decode()


def field(*names: str) -> Callable[[object], str | None]:
    """A key function that compares only the fields `names`, so that reasons may differ where answers agree."""

    def key(value: object) -> str | None:
        return typed([getattr(value, name) for name in names])

    return key
