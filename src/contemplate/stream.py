"""A run as a stream of events."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Generic

import anyio

from .events import Event
from .result import OutputT, RunResult
from .run.mailbox import Mailbox


class RunStream(Generic[OutputT]):
    """The events of a run, as they happen: `async for event in stream`. After the last one, `stream.result` is set.

    The iteration ends when the run does, and raises what the run raised.
    """

    def __init__(self) -> None:
        self._events: Mailbox[Event] = Mailbox()
        self._result: RunResult[OutputT] | None = None
        self._error: BaseException | None = None

    @property
    def result(self) -> RunResult[OutputT]:
        """The result of the run.

        Raises:
            RuntimeError: the run is not over; iterate to the end first.
            ContemplateError: the error that the run raised.
        """
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise RuntimeError("the run is not over: iterate over its events to the end, then ask for its result")
        return self._result

    def put(self, event: Event) -> None:
        """Add an event."""
        self._events.put(event)

    async def follow(self, run: Awaitable[RunResult[OutputT]]) -> None:
        """Wait for the run, and keep its result or error."""
        try:
            self._result = await run
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            # It is raised where the events are read: the run's own task has nobody to raise it to.
            self._error = error
        finally:
            self._events.close()

    def __aiter__(self) -> RunStream[OutputT]:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._events.__anext__()
        except StopAsyncIteration:
            if self._error is not None:
                raise self._error from None
            raise
