"""An unbounded queue that needs no task of its own."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Mailbox(Generic[T]):
    """An unbounded first-in, first-out queue: `async for item in mailbox`, until it is closed and empty.

    An anyio memory stream does the same at several times the cost, and every event and result goes through a mailbox.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._closed = False
        self._wake = anyio.Event()
        self._readers = 0
        self._idle = anyio.Event()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for an item, or has not noticed yet that there is one."""
        return self._readers > 0

    @property
    def is_empty(self) -> bool:
        """Whether a reader would wait."""
        return not (self._items or self._closed)

    @property
    def is_read_out(self) -> bool:
        """Whether a reader has taken every item and waits for another."""
        return not self._items and self._readers > 0

    def put(self, item: T) -> None:
        """Add an item; it is dropped if the mailbox is closed."""
        if not self._closed:
            self._items.append(item)
            self._wake.set()

    def close(self) -> None:
        """Close the mailbox: items put in from now on are dropped."""
        self._closed = True
        self._wake.set()

    async def read_out(self) -> None:
        """Wait until a reader has taken every item and waits for another."""
        while not self.is_read_out:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()

    def __aiter__(self) -> Mailbox[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            # An event is replaced only once it is set: else one of two readers would wait for an event that is gone.
            if self._wake.is_set():
                self._wake = anyio.Event()
            self._readers += 1
            self._idle.set()
            try:
                await self._wake.wait()
            finally:
                self._readers -= 1
        return self._items.popleft()
