"""Questions to the database that many have at once, each of its own run: asked together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

import anyio

V = TypeVar("V")


class Gathered(Generic[V]):
    """A function of many runs that is called with one: whoever comes while it is under way is asked for by the next.

    So a thousand who wait ask as often as one does. What is returned is never older than the call.

    Args:
        function: of the ids of runs; returns what there is of each.
    """

    def __init__(self, function: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]]) -> None:
        self._function = function
        self._next: _Group[V] = _Group()
        self._turn = anyio.Lock()

    async def __call__(self, run_id: str) -> V | None:
        """Return what there is of a run; None if there is nothing.

        Raises:
            Exception: that of the function.
        """
        group = self._next
        group.run_ids[run_id] = None
        async with self._turn:
            if not group.over:
                # The first of them, or whoever is next when that one was cancelled.
                await self._ask(group)
        if group.error is not None:
            raise group.error
        return group.found.get(run_id)

    async def _ask(self, group: _Group[V]) -> None:
        if group is self._next:
            self._next = _Group()
        try:
            group.found = await self._function(list(group.run_ids))
        except Exception as error:
            group.error = error
        group.over = True


class _Group(Generic[V]):
    """Those who are asked for together."""

    def __init__(self) -> None:
        self.run_ids: dict[str, None] = {}
        self.found: Mapping[str, V] = {}
        self.error: Exception | None = None
        self.over = False
