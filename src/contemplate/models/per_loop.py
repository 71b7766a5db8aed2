"""State that each event loop has for itself: sharing connections or locks across loops fails in obscure ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from anyio.lowlevel import RunVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """A value for each event loop, made when it is first asked for there.

    Args:
        name: its name, for debugging.
        make: makes the value.
    """

    def __init__(self, name: str, make: Callable[[], T]) -> None:
        self._value: RunVar[T | None] = RunVar(f"contemplate_{name}", None)
        self._make = make

    def here(self) -> T:
        """Return the value of the running event loop."""
        value = self._value.get()
        if value is None:
            value = self._make()
            self._value.set(value)
        return value
