"""What of a run is under way, as a tree, and when nothing of it can go on before the world answers.

The tree holds runs, their planners, aggregators and tasks, and the calls that these make, of which those of models are
only counted. Whatever has something under way below it waits for that; what has nothing below it moves, unless it says
what it waits for. So code that waits for anything unknown counts as moving: a run is never suspended while something
might still happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import anyio.lowlevel
from anyio.abc import TaskGroup

from ..decisions import PendingCall
from ..models import current_run
from .clock import RunClock

# A task goes on in the same turn of the event loop in which what it waited for ends, or in the next.
TURNS_TO_SETTLE = 2


class Waiting:
    """The calls of an outermost run, and of those within it, that wait for the world.

    Attributes:
        pending: the open calls, by id.
        asked: how many are being decided just now.
        suspended: whether the run is being suspended.
        suspend: ends the work of the run. None for a run that cannot wait: another event loop waits for it, blocked.
        group: where to start tasks.
    """

    def __init__(self) -> None:
        self.pending: dict[str, PendingCall] = {}
        self.asked = 0
        self.suspended = False
        self.suspend: Callable[[], None] | None = None
        self.group: TaskGroup | None = None
        self._clocks: dict[Activity, RunClock] = {}
        self._settling = False

    def changed(self) -> None:
        """Stop and start the clocks, and suspend the run if nothing of it can go on."""
        if self.suspended or not (self.pending or self.asked):
            return
        for activity, clock in self._clocks.items():
            clock.run(running=not activity.still(asked=True))
        if not self._settling and self._over() and self.group is not None:
            self._settling = True
            self.group.start_soon(self._settle)

    def _over(self) -> bool:
        return bool(self.pending) and all(each.still() for each in self._clocks if each.outer is None)

    async def _settle(self) -> None:
        for _ in range(TURNS_TO_SETTLE):
            await anyio.lowlevel.checkpoint()
        self._settling = False
        if self._over() and self.suspend is not None and not self.suspended:
            self.suspended = True
            self.suspend()

    @contextmanager
    def clocked(self, activity: Activity, clock: RunClock) -> Iterator[None]:
        """Stop `clock` whenever all that `activity` could go on with is a decision of others."""
        self._clocks[activity] = clock
        try:
            yield
        finally:
            del self._clocks[activity]


class Activity:
    """Something that is under way: a run, a role, a task, or a call.

    Args:
        outer: what it is a part of.

    Attributes:
        repeated: whether something else does the same in parallel, such as another candidate.
    """

    __slots__ = ("_calls", "_decided_elsewhere", "_inner", "_waits", "outer", "repeated", "waiting")

    def __init__(self, outer: Activity | None = None, *, repeated: bool = False) -> None:
        self.outer = outer
        self.waiting: Waiting = Waiting() if outer is None else outer.waiting
        self.repeated: bool = repeated or (outer is not None and outer.repeated)
        self._calls = 0
        self._inner: set[Activity] = set()
        self._waits: list[Callable[[], bool]] = []
        self._decided_elsewhere: str | None = None

    def begin(self, *, repeated: bool = False) -> Activity:
        """Return a part of it that begins."""
        inner = Activity(self, repeated=repeated)
        self._inner.add(inner)
        self.waiting.changed()
        return inner

    def end(self) -> None:
        """Record that it is over."""
        if self.outer is not None:
            self.outer._inner.discard(self)
            self.waiting.changed()

    def call_began(self) -> None:
        """Record that a model call of it is under way. A call is a part that moves, to its end."""
        self._calls += 1
        self.waiting.changed()

    def call_ended(self) -> None:
        """Record that a model call of it is over."""
        self._calls -= 1
        self.waiting.changed()

    def still(self, *, asked: bool = False) -> bool:
        """Return whether it can only go on once a pending call is decided; with `asked`, one that is asked for, too."""
        if self._decided_elsewhere is not None:
            return asked or self._decided_elsewhere == "pending"
        if self._calls:
            return False
        if self._inner:
            return all(each.still(asked=asked) for each in self._inner)
        return bool(self._waits) and all(waits() for waits in self._waits)

    def waits_while(self, waits: Callable[[], bool]) -> AbstractContextManager[None]:
        """Record that the code of the block waits for others of the run, while `waits()`."""
        return _WaitsWhile(self, waits)

    @contextmanager
    def asks(self) -> Iterator[None]:
        """Record that the block asks somebody to decide."""
        self._decided_elsewhere = "asked"
        self.waiting.asked += 1
        self.waiting.changed()
        try:
            yield
        finally:
            self._decided_elsewhere = None
            self.waiting.changed()
            self.waiting.asked -= 1

    async def wait_for(self, call: PendingCall) -> None:
        """Wait for a decision on `call`, until the run is suspended or the caller is cancelled."""
        self._decided_elsewhere = "pending"
        self.waiting.pending[call.id] = call
        self.waiting.changed()
        try:
            await anyio.sleep_forever()
        finally:
            if not self.waiting.suspended:
                self._decided_elsewhere = None
                self.waiting.changed()
                del self.waiting.pending[call.id]


class _WaitsWhile:
    # A class, as the aggregator waits once for each result.
    __slots__ = ("_activity", "_waits")

    def __init__(self, activity: Activity, waits: Callable[[], bool]) -> None:
        self._activity = activity
        self._waits = waits

    def __enter__(self) -> None:
        self._activity._waits.append(self._waits)
        self._activity.waiting.changed()

    def __exit__(self, *raised: object) -> None:
        self._activity._waits.remove(self._waits)


def current_activity() -> Activity | None:
    """Return what the current code is a part of; None outside every run in progress."""
    return getattr(current_run.get(), "activity", None)


def waits_while(waits: Callable[[], bool]) -> AbstractContextManager[None]:
    """Record that the code of the block waits for others of its run, while `waits()`."""
    activity = current_activity()
    return nullcontext() if activity is None else activity.waits_while(waits)
