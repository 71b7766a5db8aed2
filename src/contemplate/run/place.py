"""Where code is: in which run, and in which of its tasks. The one context variable, which ends with the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio.lowlevel
from anyio.lowlevel import EventLoopToken

from ..events import Speaker
from ..models import RunMark, current_run


@dataclass(frozen=True, slots=True, eq=False)
class Blocked:
    """That a run's event loop waits, blocked, for what is made in it in another thread.

    Attributes:
        seconds: what is left of the time for it.
        later: what is to be done in that loop's thread as soon as it goes on.
    """

    seconds: float
    later: list[Callable[[], object]] = field(default_factory=list)


class OngoingRun(RunMark):
    """A run that goes on, in an event loop.

    Attributes:
        loop: the event loop.
    """

    loop: EventLoopToken


@dataclass(slots=True, eq=False)
class Place(RunMark):
    """A place in a run, where another run may be made.

    Attributes:
        run: the run: its calls.
        role: whose code it is.
        task: the task for which it works, if any.
        name: what a run that is made here is named by.
        blocked: set while the run's event loop waits for what is made here.
    """

    run: OngoingRun
    role: Speaker
    task: str | None
    name: str
    blocked: Blocked | None = None

    @property
    def root(self) -> RunMark:
        """The outermost run."""
        return self.run.root

    @property
    def over(self) -> bool:  # type: ignore[override]
        """Whether the run has ended."""
        return self.run.over

    @property
    def loop(self) -> EventLoopToken:
        """The run's event loop."""
        return self.run.loop

    @property
    def here(self) -> bool:
        """Whether this code runs in the run's event loop."""
        return self.loop == anyio.lowlevel.current_token()

    def enter(self) -> None:
        """Let the code of this task be at this place, to the task's end."""
        current_run.set(self)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let the code within the block be at this place."""
        token = current_run.set(self)
        try:
            yield
        finally:
            current_run.reset(token)


def current_place() -> Place | None:
    """Return where this code is; None outside every run that still goes on."""
    place = current_run.get()
    return place if isinstance(place, Place) and not place.over else None
