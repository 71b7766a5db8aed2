"""The clock of a run: it stands while all that the run waits for is a decision of people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio


class RunClock:
    """Counts the seconds that a run works, and moves its deadlines by those that it only waits.

    Attributes:
        before: the seconds that the run had worked before it was resumed.
        on_moved: called with the seconds by which the deadlines have moved.
    """

    def __init__(self) -> None:
        self.before = 0.0
        self.on_moved: Callable[[float], None] = lambda _: None
        self._began = 0.0
        self._stood = 0.0
        self._stopped: float | None = None
        self._scopes: dict[anyio.CancelScope, float] = {}

    def start(self, before: float) -> float:
        """Start it, and return the time."""
        self.before = before
        self._began = anyio.current_time()
        return self._began

    @property
    def seconds(self) -> float:
        """The seconds that the run has worked."""
        now = anyio.current_time() if self._stopped is None else self._stopped
        return self.before + now - self._began - self._stood

    def run(self, *, running: bool) -> None:
        """Let it run, or stop it."""
        if running == (self._stopped is None):
            return
        now = anyio.current_time()
        if not running:
            self._stopped = now
            for scope in self._scopes:
                self._scopes[scope] = scope.deadline
                scope.deadline = math.inf
            return
        stood = now - (self._stopped or now)
        self._stood += stood
        self._stopped = None
        for scope, deadline in self._scopes.items():
            scope.deadline = deadline + stood
        self.on_moved(stood)

    @contextmanager
    def limits(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Let the deadline of `scope` be one of the run's, in the block."""
        self._scopes[scope] = scope.deadline
        try:
            yield
        finally:
            del self._scopes[scope]
