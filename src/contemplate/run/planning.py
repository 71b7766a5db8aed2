"""A planner at work: whether it may hand out more tasks before it waits for anything but its own calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Planning:
    """Follows a planner, so that what is left of a limit is divided when its tasks are known.

    What is held until then always goes on: a planner that waits for anything but a call of its own counts as paused,
    whatever it waits for, as that may be a task.

    Attributes:
        on_pause: called when the planner pauses.
        paused: whether the planner hands out nothing for now, or is done.
    """

    def __init__(self) -> None:
        self.on_pause: Callable[[], None] = lambda: None
        self.paused = False
        self._calls: set[int] = set()
        self._suspended = False

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

    def _suspend(self) -> None:
        self._suspended = True
        if not self._calls:
            self.pause()

    def _resume(self) -> None:
        self._suspended = self.paused = False


class _Followed(Generic[T]):
    def __init__(self, tasks: AsyncIterator[T], planning: Planning) -> None:
        self._tasks = tasks
        self._planning = planning

    def __aiter__(self) -> _Followed[T]:
        return self

    async def __anext__(self) -> T:
        self._planning._resume()
        return await _followed(_whole(self._tasks.__anext__()).__await__(), self._planning)


async def _whole(step: Awaitable[T]) -> T:
    # The steps of a coroutine can always be sent to, those of another awaitable perhaps not.
    return await step


@coroutine
def _followed(steps: Generator[Any, Any, T], planning: Planning) -> Generator[Any, Any, T]:
    """Take the steps of an awaitable, as `await` does, and tell when it gives control to the event loop."""
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        try:
            wanted = steps.send(sent) if thrown is None else steps.throw(thrown)
        except StopIteration as done:
            result: T = done.value
            return result
        planning._suspend()
        sent = thrown = None
        try:
            sent = yield wanted
        except BaseException as error:
            thrown = error
        planning._resume()
