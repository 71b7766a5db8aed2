"""Follow a coroutine of others: when it waits, and when it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

import sniffio

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
        pause = _Pause(follower)
        _when_it_waits(pause.tell)
        sent = thrown = None
        try:
            sent = yield wanted
        except BaseException as error:
            thrown = error
        pause.end()


async def _whole(step: Awaitable[T]) -> T:
    return await step


class _Pause:
    """One time that a coroutine waits. Its follower is told of the end only if it was told of the beginning."""

    __slots__ = ("_follower", "_over", "_told")

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._told = self._over = False

    def tell(self) -> None:
        if not self._over:
            self._told = True
            self._follower.waits()

    def end(self) -> None:
        self._over = True
        if self._told:
            self._follower.goes_on()


def _when_it_waits(call: Callable[[], None]) -> None:
    """Call `call` when the event loop knows that this coroutine waits.

    A follower may set the very event for which it does. Trio would wake a task that, for all that it knows, still runs,
    and fail if that is then cancelled; asyncio looks whether the event is set when it takes over.
    """
    if sniffio.current_async_library() == "trio":
        import trio

        trio.lowlevel.current_trio_token().run_sync_soon(call)
    else:
        call()
