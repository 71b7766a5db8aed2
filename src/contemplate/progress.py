"""How far a run is, by its events: for bars, lists and logs of others."""

from __future__ import annotations

from time import monotonic

from .aggregators.early_stopping import beta_confidence
from .data import Data
from .events import (
    Event,
    ModelCalled,
    OutputDelta,
    PlanDelta,
    PlanReady,
    RunFailed,
    RunFinished,
    RunStarted,
    RunSuspended,
    TaskDelta,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    VoteCounted,
)
from .usage import Usage


class Progress(Data):
    """How far a run is, at one moment.

    Args:
        done, running, to_come: how many of its tasks have ended, are being answered, and are planned only.
        planned: whether the plan is written to its end; before that, more tasks may come.
        usage: of all its model calls so far, those of runs within it included.
        seconds: how long it has been going on, or took.
        certainty: of a vote, how probable it is that the answer which is ahead of the second would stay so, from 0.5
            to 1, which it is once the vote is decided; None without votes.
        over: whether the run has ended, or is suspended.
    """

    done: int = 0
    running: int = 0
    to_come: int = 0
    planned: bool = False
    usage: Usage = Usage()
    seconds: float = 0.0
    certainty: float | None = None
    over: bool = False

    @property
    def share(self) -> float:
        """The share of the tasks known so far that have ended, from 0 to 1."""
        tasks = self.done + self.running + self.to_come
        return self.done / tasks if tasks else float(self.over)


class ProgressMeter:
    """Counts how far a run is: give each of its events to `add`, as with `mind.run(..., on_event=meter.add)`."""

    def __init__(self) -> None:
        self._planned: set[str] = set()
        self._running: set[str] = set()
        self._ended: set[str] = set()
        self._plan_ready = self._over = False
        self._usage = Usage()
        self._certainty: float | None = None
        self._began: float | None = None
        self._seconds = 0.0

    def add(self, event: Event) -> None:
        """Count what an event says."""
        match event:
            case TaskDelta() | OutputDelta() | PlanDelta():
                return
            case ModelCalled(usage=usage):
                self._usage += usage
            case _ if event.path:
                # A run within a task is part of that task.
                return
            case TaskPlanned() | TaskStarted() | TaskFinished():
                self._add_task(event)
            case RunStarted(at=at):
                self._began, self._over = monotonic() - at, False
            case PlanReady():
                self._plan_ready = True
            case VoteCounted():
                self._certainty = _certainty(event)
            case RunFinished() | RunSuspended() | RunFailed():
                self._over, self._seconds = True, event.seconds
            case _:
                pass

    def _add_task(self, event: TaskPlanned | TaskStarted | TaskFinished) -> None:
        match event:
            case TaskPlanned(task=task):
                self._planned.add(task.id)
            case TaskStarted(task_id=task_id):
                self._running.add(task_id)
            case TaskFinished(result=result):
                self._running.discard(result.id)
                # One that is suspended goes on when its run does.
                if result.outcome != "suspended":
                    self._ended.add(result.id)

    @property
    def progress(self) -> Progress:
        """How far the run is now."""
        goes_on = self._began is not None and not self._over
        return Progress(
            done=len(self._ended),
            running=len(self._running),
            to_come=len(self._planned - self._running - self._ended),
            planned=self._plan_ready,
            usage=self._usage,
            seconds=monotonic() - self._began if goes_on and self._began is not None else self._seconds,
            certainty=self._certainty,
            over=self._over,
        )


def _certainty(event: VoteCounted) -> float:
    if event.decided:
        return 1.0
    first, second, *_ = *sorted(event.votes.values(), reverse=True), 0, 0
    return beta_confidence(first, second)
