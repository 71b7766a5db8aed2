"""The runs that go on, those that wait for their turn, and the end of all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.lowlevel

from .api_errors import SERVER_STOPPED, RequestError, busy, draining, server_error
from .runner import Runner, RunsHere
from .viewer.live_runs import LiveRuns
from .waiting_runs import WaitingRuns


class ActiveRuns:
    """The runs that are going on, a queue of those that will, those that wait, and what is seen of all.

    Args:
        most: how many go on at once.
        most_queued: how many more may wait.
        runner: who carries them out; this process if None.
    """

    def __init__(self, most: int = 200, most_queued: int = 1000, runner: Runner | None = None) -> None:
        self.runner = runner or RunsHere()
        self.waiting = WaitingRuns()
        self.live = LiveRuns()
        self._most_queued = most_queued
        self._turns = anyio.Semaphore(most)
        self._scopes: set[anyio.CancelScope] = set()
        self._draining = False
        self._stopped = False
        self.queued = 0

    @property
    def active(self) -> int:
        """How many go on, or wait for their turn."""
        return len(self._scopes)

    @property
    def ready(self) -> bool:
        """Whether new runs are begun."""
        return not (self._draining or self._stopped)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait for one run's turn, and hold it while it goes on.

        Raises:
            RequestError: too many wait already, no new runs are begun, or `stop` has ended the run.
        """
        if self._draining:
            raise RequestError(draining())
        if self.queued >= self._most_queued and self._turns.value == 0:
            raise RequestError(busy(self.queued))
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._stopped:
                scope.cancel()
            try:
                await self._turn()
                try:
                    yield
                finally:
                    self._turns.release()
            finally:
                self._scopes.discard(scope)
        if scope.cancelled_caught:
            raise RequestError(server_error("the server is stopping", status=503, code=SERVER_STOPPED))

    async def _turn(self) -> None:
        await anyio.lowlevel.checkpoint()
        # Whoever needs not wait is never counted among those who do.
        try:
            self._turns.acquire_nowait()
            return
        except anyio.WouldBlock:
            self.queued += 1
        try:
            await self._turns.acquire()
        finally:
            self.queued -= 1

    def drain(self) -> None:
        """Begin no new runs; those that were begun or wait for their turn go on."""
        self._draining = True

    def stop(self) -> None:
        """End all runs, and every later one."""
        self._stopped = True
        for scope in self._scopes:
            scope.cancel()
        self.live.close()
