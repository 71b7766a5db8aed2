"""A planner at work: whether it may hand out more tasks before it waits for anything but its own calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
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
        on_pause: called when the planner pauses, or has handed out more than a few tasks.
        paused: whether the planner hands out nothing for now, or is done.
    """

    def __init__(self) -> None:
        self.on_pause: Callable[[], None] = lambda: None
        self.paused = False
        self._calls: set[int] = set()
        self._suspended = False
        self._handed_out = 0

    @property
    def handing_out(self) -> bool:
        """Whether it is about to hand out one of its first tasks, or to pause, without waiting for anything."""
        return not self.paused and not self._calls and self._handed_out < FEW_TASKS

    @property
    def calling(self) -> bool:
        """Whether a call of the planner is being written."""
        return bool(self._calls)

    def handed_out(self) -> None:
        """Record that there is another task."""
        self._handed_out += 1
        if self._handed_out == FEW_TASKS:
            self.on_pause()

    def pause(self) -> None:
        """Record that the planner hands out nothing for now."""
        if not self.paused:
            self.paused = True
            self.on_pause()

    def call_began(self, turn: int) -> None:
        """Record that a call of the planner has begun to write: before, it may wait for those that are held."""
        self._calls.add(turn)
        self.paused = False

    def call_ended(self, turn: int) -> None:
        """Record that a call of the planner is over; what it has written is still to be read."""
        self._calls.discard(turn)

    def stream_ended(self, *, awaited: bool) -> None:
        """Record that there are no more pieces of a call; a planner that does not wait for them waits for others."""
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
