"""Who waits for a rate limit, in which order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Line(Generic[Item]):
    """A fair queue: first in, first out within each run, and round-robin among runs."""

    def __init__(self) -> None:
        # OrderedDict, as a plain dict finds its first entry by scanning past all removed ones.
        self._runs: OrderedDict[Hashable, OrderedDict[Item, None]] = OrderedDict()

    def __iter__(self) -> Iterator[Item]:
        """Return all who wait, run by run."""
        return iter([item for waiting in self._runs.values() for item in waiting])

    @property
    def first(self) -> Item | None:
        """The next waiter; None if nobody waits."""
        for waiting in self._runs.values():
            return next(iter(waiting))
        return None

    def join(self, run: Hashable, item: Item) -> None:
        """Add `item` at the end of its run; a run without other waiters goes to the end."""
        self._runs.setdefault(run, OrderedDict())[item] = None

    def leave(self, run: Hashable, item: Item) -> None:
        """Remove `item`."""
        waiting = self._runs[run]
        del waiting[item]
        if not waiting:
            del self._runs[run]

    def serve(self, run: Hashable, item: Item) -> None:
        """Remove `item`, and move its run to the end."""
        self.leave(run, item)
        if run in self._runs:
            self._runs.move_to_end(run)
