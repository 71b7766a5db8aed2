"""The events of a run as short lines of text.

`EventLines` makes the lines. The functions below it say one thing each, for a view that puts them elsewhere than in
a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..decisions import PendingCall
from ..events import (
    CallWaiting,
    ContextCondensed,
    Event,
    LimitReached,
    Noted,
    PlanDelta,
    RunSuspended,
    StandingsChanged,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    TaskTold,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    VoteCounted,
)
from ..plan import Task
from ..redaction import redact
from ..result import Outcome, TaskResult
from .summary import failure_reason

MAX_LINE = 300
EVEN = 0.5

_OUTCOMES: dict[Outcome, str] = {
    "answered": "answered",
    "capped": "cut short",
    "failed": "failed",
    "cancelled": "stopped",
    "suspended": "waits",
}


class EventLines:
    """Makes the lines for the events of one run; give it every event, in order.

    A task that is the question itself gets no lines of its own, unless it fails: its answer is the news. That a
    candidate is planned is not told either: it is the question once more. What happens in a run within one of the
    tasks stands behind that run's path.

    Args:
        show_ids: whether a task is called by its id and its title, or by its title alone.
    """

    def __init__(self, *, show_ids: bool = False) -> None:
        self._show_ids = show_ids
        self._tasks: dict[str, Task] = {}
        self._planning = False
        self._within: dict[str, EventLines] = {}

    def line(self, event: Event) -> str | None:
        """Return what there is to say of `event`, without line breaks and secrets; None if there is nothing."""
        lines = self if not event.path else self._lines_of(event.path)
        text = lines._text(event)
        if text is None:
            return None
        if event.path:
            text = f"[{event.path}] {text}"
        line = " ".join(redact(text).split())
        return line if len(line) <= MAX_LINE else line[: MAX_LINE - 3] + "..."

    def _lines_of(self, path: str) -> EventLines:
        if path not in self._within:
            self._within[path] = EventLines(show_ids=self._show_ids)
        return self._within[path]

    def _text(self, event: Event) -> str | None:
        match event:
            case PlanDelta() if not self._planning:
                self._planning = True
                return "Planning"
            case TaskPlanned(task=task):
                self._tasks[task.id] = task
                return self._planned(task)
            case TaskStarted(task_id=task_id) if self._is_news(task_id):
                return f"{self._name(task_id)}: started"
            case TaskTold(task_id=task_id):
                return f"{self._name(task_id)}: is sent a message"
            case TaskFinished(result=result) if self._is_news(result.id) or result.outcome == "failed":
                return f"{self._name(result.id)}: {task_end(result)}"
            case ToolStarted() | ToolProgress() | ToolFinished() | ContextCondensed():
                done = step(event)
                return None if done is None else f"{self._name(event.task_id)}: {done}"
            case StandingsChanged():
                return self._standings(event)
        return _of_the_run(event)

    def _planned(self, task: Task) -> str | None:
        if task.kind != "part":
            return None
        needs = ", ".join(map(self._name, task.needs))
        return f"{self._name(task.id)}: planned{f', after {needs}' if needs else ''}"

    def _standings(self, event: StandingsChanged) -> str:
        points = {self._name(task): points for task, points in event.points.items()}
        standings = counts(points, decided=event.decided)
        if event.pair is None:
            return f"Tournament: {standings}"
        first, second = map(self._name, event.pair)
        return f"Tournament, round {event.round}: {comparison(first, second, event.score)}; {standings}"

    def _is_news(self, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is None or task.kind != "answer"

    def _name(self, task_id: str) -> str:
        task = self._tasks.get(task_id)
        if task is None or task.title is None:
            return task_id
        return f"{task_id} ({task.title})" if self._show_ids else task.title


def _of_the_run(event: Event) -> str | None:
    match event:
        case VoteCounted():
            return vote_count(event)
        case Noted(message=message):
            return note(message)
        case LimitReached(limit=limit):
            return limit_reached(limit)
        case CallWaiting(call=call):
            return waits([call])
        case RunSuspended(pending=pending):
            return suspended(pending)
    return None


def task_end(result: TaskResult) -> str:
    """Return how a task ended and how long it took, and why it failed."""
    return f"{_OUTCOMES[result.outcome]} after {result.seconds:.1f} s{failure_reason(result)}"


def tool_use(tool: str) -> str:
    """Return that a task uses a tool."""
    return f"uses {tool}"


def tool_progress(event: ToolProgress) -> str:
    """Return what a tool says that it is doing."""
    return redact(f"{event.tool}: {event.message}")


def step(event: ToolStarted | ToolProgress | ToolFinished | ContextCondensed) -> str | None:
    """Return what a subagent does between its calls; None for a tool that returned."""
    match event:
        case ToolStarted(tool=tool):
            return tool_use(tool)
        case ToolProgress():
            return tool_progress(event)
        case ToolFinished(tool=tool, error=error):
            return None if error is None else f"{tool} failed: {error.message}"
        case ContextCondensed(turns=turns, tokens_before=before, tokens_after=after):
            return f"{turns} old turns condensed, from about {before:,} to {after:,} tokens"


def vote_count(event: VoteCounted) -> str:
    """Return how many votes each answer has."""
    return f"Votes: {counts(event.votes, decided=event.decided)}"


def counts(counted: Mapping[str, float], *, decided: bool) -> str:
    """Return how many votes or points each answer has, and whether that decides who is first."""
    each = ", ".join(f"{answer} ({number:.6g})" for answer, number in counted.items())
    return f"{each}{'; decided' if decided else ''}"


def comparison(first: str, second: str, score: float | None) -> str:
    """Return how a comparison of two candidates ended: `score` is that of the first; None without a verdict."""
    if score is None:
        return f"no verdict on {first} and {second}"
    if score == EVEN:
        return f"{first} and {second} draw"
    return f"{first} beats {second}" if score > EVEN else f"{second} beats {first}"


def note(message: str) -> str:
    """Return what was mended, dropped or given up."""
    return f"Note: {redact(message)}"


def waits(pending: Sequence[PendingCall]) -> str:
    """Return for which calls a run waits."""
    return f"Waits for a decision: {'; '.join(map(str, pending))}"


def suspended(pending: Sequence[PendingCall]) -> str:
    """Return that a run is suspended, and by which calls."""
    return f"Suspended until it is decided of {', '.join(call.id for call in pending)}"


def limit_reached(limit: str) -> str:
    """Return that a limit ended the work early, and what follows from it."""
    return f"Limit reached: {limit}; concluding from what arrived"
