"""A run as a stream of events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic

import anyio

from .errors import ConfigurationError
from .events import Event
from .progress import Progress, ProgressMeter
from .result import OutputT, RunResult
from .run.detached_task import OwnTask
from .run.listeners import Listener
from .run.mailbox import Mailbox


class RunStream(Generic[OutputT]):
    """The events of a run, as they happen: `async for event in stream`. After the last one, `stream.result` is set.

    `stream.progress` is how far the run is, at any moment, whether its events are read or not.

    The iteration ends when the run does, and raises what the run raised.
    """

    def __init__(self) -> None:
        self._events: Mailbox[Event] = Mailbox()
        self._meter = ProgressMeter()
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

    @property
    def progress(self) -> Progress:
        """How far the run is now: tasks, tokens, cost, seconds, and how sure a vote is."""
        return self._meter.progress

    def put(self, event: Event) -> None:
        """Add an event."""
        self._meter.add(event)
        self._events.put(event)

    async def follow(self, start: Callable[[Listener], Awaitable[RunResult[OutputT]]]) -> None:
        """Start the run, wait for it, and keep its result or error."""
        try:
            self._result = await start(self.put)
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


class _Streamed(AbstractAsyncContextManager[RunStream[OutputT], None]):
    def __init__(self, start: Callable[[Listener], Awaitable[RunResult[OutputT]]]) -> None:
        self._start = start
        self._task: OwnTask | None = None

    async def __aenter__(self) -> RunStream[OutputT]:
        if self._task is not None:
            raise ConfigurationError("this stream was used before", hint="make one for each run: mind.stream(question)")
        stream: RunStream[OutputT] = RunStream()
        self._task = OwnTask(lambda: stream.follow(self._start))
        return stream

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None  # noqa: S101
        await self._task.end()


def stream_of(
    start: Callable[[Listener], Awaitable[RunResult[OutputT]]],
) -> AbstractAsyncContextManager[RunStream[OutputT]]:
    """Return the events, to iterate over, of the run that `start` makes, and that tells them the listener it is given.

    Leaving the block cancels the run, also when an async generator around it is left or abandoned. It is entered once.
    """
    return _Streamed(start)
