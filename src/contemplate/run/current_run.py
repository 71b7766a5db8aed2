"""The place of code in a run: which run, which task. Held in the one context variable, until the run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio.lowlevel
from anyio.abc import TaskGroup
from anyio.lowlevel import EventLoopToken

from ..events import Speaker
from ..models import RunMark, current_run
from ..prompts import Prompts
from .activity import Activity


@dataclass(frozen=True, slots=True, eq=False)
class Blocked:
    """A run's event loop that is blocked, waiting for another thread.

    Attributes:
        seconds: how long it may stay blocked.
        later: what to call in that loop's thread as soon as it continues.
    """

    seconds: float
    later: list[Callable[[], object]] = field(default_factory=list)


class OngoingRun(RunMark):
    """A run that is not over.

    Attributes:
        loop: the event loop in which it runs.
        activity: it, as something that is under way.
        run_id: the id of the outermost run.
        path: the path of this run within it.
    """

    run_id: str
    path: str
    loop: EventLoopToken
    activity: Activity

    @property
    def group(self) -> TaskGroup:
        """The task group of what runs beside the run's work, and ends with the run."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class RunScope(RunMark):
    """A place in a run, where another run may be started.

    Attributes:
        run: the run; its `Calls`.
        role: the role whose code runs here.
        task: the id of the task it works on, or None.
        name: the name of a run started here, in that run's path.
        activity: what the code here is a part of.
        blocked: set while the run's event loop is blocked, waiting for this code.
    """

    run: OngoingRun
    role: Speaker
    task: str | None
    name: str
    activity: Activity
    blocked: Blocked | None = None

    @property
    def root(self) -> RunMark:
        """The outermost run."""
        return self.run.root

    async def make_sure(self) -> None:
        """Find out whether the run is still this process's.

        Raises:
            RunTaken: it is another one's.
        """
        await self.run.make_sure()

    @property
    def over(self) -> bool:  # type: ignore[override]
        """Whether the run has ended."""
        return self.run.over

    @property
    def prompts(self) -> Prompts:  # type: ignore[override]
        """The run's prompts."""
        return self.run.prompts

    @property
    def loop(self) -> EventLoopToken:
        """The run's event loop."""
        return self.run.loop

    @property
    def here(self) -> bool:
        """Whether the current code runs in the run's event loop."""
        return self.loop == anyio.lowlevel.current_token()

    def enter(self) -> None:
        """Let the code of this task be at this scope, to the task's end."""
        current_run.set(self)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run the block at this scope."""
        token = current_run.set(self)
        try:
            yield
        finally:
            current_run.reset(token)


def current_scope() -> RunScope | None:
    """Return the place of the current code; None outside every run in progress."""
    scope = current_run.get()
    return scope if isinstance(scope, RunScope) and not scope.over else None
