"""Follow a coroutine of others: when it waits, and when it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Follower(Protocol):
    """Who is told of the steps of a coroutine."""

    def waits(self) -> None:
        """Record that the coroutine gives control to the event loop."""

    def goes_on(self) -> None:
        """Record that it has control again."""


async def followed(awaitable: Awaitable[T], follower: Follower) -> T:
    """Return what `awaitable` returns, and tell `follower` of its steps."""
    return await _steps(_whole(awaitable).__await__(), follower)


async def _whole(step: Awaitable[T]) -> T:
    # The steps of a coroutine can always be sent to, those of another awaitable perhaps not.
    return await step


@coroutine
def _steps(steps: Generator[Any, Any, T], follower: Follower) -> Generator[Any, Any, T]:
    """Take the steps of an awaitable, as `await` does, and tell when it gives control to the event loop."""
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        try:
            wanted = steps.send(sent) if thrown is None else steps.throw(thrown)
        except StopIteration as done:
            result: T = done.value
            return result
        follower.waits()
        sent = thrown = None
        try:
            sent = yield wanted
        except BaseException as error:
            thrown = error
        follower.goes_on()
