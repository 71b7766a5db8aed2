"""A planner at work: whether it may hand out more tasks before it waits for anything but its own calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from .watched_coroutine import followed

T = TypeVar("T")
# So many tasks are awaited before what is left of a limit is divided; to hand out more takes a while.
FEW_TASKS = 256


class Planning:
    """Follows a planner, so that what is left of a limit is divided when its tasks are known.

    What is held until then always goes on: a planner that waits for anything but a call of its own counts as paused,
    whatever it waits for, as that may be a task.

    Attributes:
        divide_again: called when more is known of how many tasks there are: the planner pauses, or has handed out more
            than a few.
        paused: whether the planner hands out nothing for now, or is done.
    """

    def __init__(self) -> None:
        self.divide_again: Callable[[], None] = lambda: None
        self.paused = False
        self._calls: set[int] = set()
        self._suspended = False
        self._streams = 0
        self._handed_out = 0
        self._gives_way = False

    @property
    def handing_out(self) -> bool:
        """Whether one of its first tasks comes next, or a pause, or the end, as soon as others have had their turn."""
        return self._gives_way and not self._calls and self._handed_out < FEW_TASKS

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """Let others have their turn between two tasks."""
        self._gives_way = True
        try:
            yield
        finally:
            self._gives_way = False

    @property
    def calling(self) -> bool:
        """Whether a call of the planner is being written."""
        return bool(self._calls)

    def handed_out(self) -> None:
        """Record that there is another task."""
        self._handed_out += 1
        if self._handed_out == FEW_TASKS:
            self.divide_again()

    def pause(self) -> None:
        """Record that the planner hands out nothing for now."""
        if not self.paused:
            self.paused = True
            self.divide_again()

    def call_asked(self) -> None:
        """Record that the planner wants to make a call: it hands out nothing before that has begun."""
        self.divide_again()

    def call_began(self, turn: int) -> None:
        """Record that a call of the planner has begun to write: before, it may wait for those that are held."""
        self._calls.add(turn)
        self.paused = False
        # Who waits for the next of its first tasks, may wait for long now.
        self.divide_again()

    def call_ended(self, turn: int) -> None:
        """Record that a call of the planner is over; what it has written is still to be read.

        A planner that has not made the call itself, but in a task or a thread beside it, still waits for others.
        """
        self._calls.discard(turn)
        if self._suspended and not self._calls and not self._streams:
            self.pause()

    def stream_began(self) -> None:
        """Record that pieces of a call are going to come."""
        self._streams += 1

    def stream_ended(self, *, awaited: bool) -> None:
        """Record that there are no more pieces of a call; a planner that does not wait for them waits for others."""
        self._streams -= 1
        if self._suspended and not awaited and not self._calls:
            self.pause()

    def follow(self, tasks: AsyncIterator[T]) -> AsyncIterator[T]:
        """Return an iterator over `tasks` that notices when the planner waits."""
        return _Followed(tasks, self)

    def waits(self) -> None:
        """Record that the planner waits for something."""
        self._suspended = True
        if not self._calls:
            self.pause()

    def goes_on(self) -> None:
        """Record that the planner is at work."""
        self._suspended = self.paused = False


class _Followed(Generic[T]):
    def __init__(self, tasks: AsyncIterator[T], planning: Planning) -> None:
        self._tasks = tasks
        self._planning = planning

    def __aiter__(self) -> _Followed[T]:
        return self

    async def __anext__(self) -> T:
        self._planning.goes_on()
        task = await followed(self._tasks.__anext__(), self._planning)
        self._planning.handed_out()
        return task
