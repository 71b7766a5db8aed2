"""Follow a coroutine of others: when it waits, and when it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Follower(Protocol):
    """Who is told of the steps of a coroutine."""

    def waits(self) -> None:
        """Record that the coroutine gives control to the event loop."""

    def goes_on(self) -> None:
        """Record that it has control again."""


@coroutine
def followed(awaitable: Awaitable[T], follower: Follower) -> Generator[Any, Any, T]:
    """Return what `awaitable` returns, taking its steps as `await` does, and tell `follower` of them."""
    # The steps of a coroutine can always be sent to, those of another awaitable perhaps not.
    steps = awaitable if isinstance(awaitable, Coroutine) else _whole(awaitable)
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


async def _whole(step: Awaitable[T]) -> T:
    return await step
