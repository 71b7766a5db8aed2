"""The events of a run that was written down, made again of its record and its calls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from ..errors import CANCELLATIONS
from ..events import (
    STRONGEST,
    CallName,
    CallRepeated,
    CallStarted,
    CallWaiting,
    Event,
    ModelCalled,
    Noted,
    PlanDelta,
    PlanReady,
    RunFailed,
    RunFinished,
    RunStarted,
    RunSuspended,
    StandingsChanged,
    TaskDelta,
    TaskFinished,
    TaskPlanned,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    VoteCounted,
)
from ..journal import Entry, Journal, RunRecord
from ..journal.entries import held_call
from ..plan import Plan, Task
from ..result import ErrorInfo, RunResult, TaskResult
from ..usage import NOTHING

_Number = TypeVar("_Number", int, float)

_INTERRUPTED = ErrorInfo(kind="Interrupted", message="it was interrupted")


def events_of(journal: Journal, run: RunRecord) -> list[Event]:
    """Return the events of a recorded run, in the order in which they happened.

    Raises:
        JournalError: the journal cannot be read.
    """
    entries = journal.entries(run.run_id)
    tools = [entry for entry in entries if entry.role == "tool" and entry.parts]
    asked = journal.parts(entry.parts[0] for entry in tools)
    return recorded_events(run, entries, {entry.slot: text for entry, text in zip(tools, asked, strict=True)})


def recorded_events(run: RunRecord, entries: Sequence[Entry], tool_calls: Mapping[str, str]) -> list[Event]:
    """Return the events that a run had, as far as its record and its calls tell.

    What is not written down is left out: what was cut off in mid-sentence comes in one piece, and notes stand at the
    end. `tool_calls` are the calls of tools as they are recorded, by their slots.
    """
    told = ToldEvents(run)
    for entry in entries:
        told.call(entry, tool_calls)
    told.tasks(entries)
    told.end([entry for entry in entries if entry.role == "decision"])
    return told.in_order()


class ToldEvents:
    """The events that a record and its calls tell, which are added one after the other."""

    def __init__(self, run: RunRecord) -> None:
        self.run = run
        self._events: list[tuple[float, int, Event]] = []
        self._planned = 0.0
        self._spans: dict[tuple[str, str | None], tuple[float, float]] = {}
        self._add(0.0, RunStarted(question=run.question, model=run.model))

    def _add(self, at: float, event: Event, path: str = "") -> None:
        event.stamp(self.run.run_id, path, round(at, 4))
        self._events.append((event.at, len(self._events), event))

    def in_order(self, after: int = 0) -> list[Event]:
        """Return the events in the order in which they happened, without the first that were told."""
        return [event for *_, event in sorted(self._events[after:], key=itemgetter(0, 1))]

    @property
    def _last(self) -> float:
        return max(at for at, *_ in self._events)

    def call(self, entry: Entry, tool_calls: Mapping[str, str]) -> None:
        """Add those of a call; `tool_calls` are the calls of tools as they are recorded, by their slots.

        What was decided is no call, and has none.
        """
        if not entry.is_call:
            return
        place = entry.path, entry.task
        first, last = self._spans.get(place, (entry.started, 0.0))
        self._spans[place] = min(first, entry.started), max(last, entry.started + entry.seconds)
        if entry.role == "tool":
            self._tool(entry, tool_calls.get(entry.slot, "{}"))
        else:
            self._model(entry)

    def _model(self, entry: Entry) -> None:
        assert entry.role in ("planner", "subagent", "aggregator")  # noqa: S101
        run, path, ended = self.run.run_id, entry.path, entry.started + entry.seconds
        name = CallName(run=run, path=path, role=entry.role, task=entry.task, turn=entry.turn)
        response = entry.response
        self._add(entry.started, CallStarted(name=name, model=entry.name), path)
        for after, reason, message in entry.again:
            self._add(entry.started + after, CallRepeated(name=name, reason=reason, message=message), path)
        wrote = ended if entry.first is None else min(entry.started + entry.queued + entry.first, ended)
        text, reasoning = (entry.text, "") if response is None else (response.message.text, response.reasoning)
        if entry.role == "planner" and text:
            self._add(wrote, PlanDelta(text=text), path)
        if entry.role == "planner" and not path:
            self._planned = max(self._planned, ended)
        if entry.role == "subagent" and entry.task is not None and (text or reasoning):
            self._add(wrote, TaskDelta(task_id=entry.task, text=text, reasoning=reasoning), path)
        if response is None and not entry.usage.calls and entry.sizes is None:
            # It was cut off while it waited, or a limit refused it, and nobody was asked: not so if it was too long.
            return
        self._add(
            ended,
            ModelCalled(
                name=name,
                model=entry.name if response is None or response.answered_by is None else response.answered_by,
                usage=entry.usage,
                seconds=max(entry.seconds - entry.queued, 0.0),
                finish=None if response is None else response.finish,
                error=entry.error,
                queued=entry.queued,
                first=entry.first,
            ),
            path,
        )

    def _tool(self, entry: Entry, call: str) -> None:
        if entry.task is None:
            # What a server lists of its tools is recorded like a call, and is none.
            return
        known = json.loads(call)
        where: dict[str, Any] = {
            "task_id": entry.task,
            "tool": entry.name,
            "call_id": f"{entry.digest[:8]}-{entry.nth}",
        }
        arguments = known.get("arguments", "")
        arguments = arguments if isinstance(arguments, str) else json.dumps(arguments)
        self._add(entry.started, ToolStarted(**where, arguments=arguments), entry.path)
        ended: dict[str, Any] = {"seconds": entry.seconds, "error": entry.error, "text": entry.text}
        self._add(entry.started + entry.seconds, ToolFinished(**where, **ended), entry.path)

    def tasks(self, entries: Sequence[Entry]) -> None:
        """Add those of the tasks that are in the run's result, or are known by these calls."""
        result = self.run.result
        results = {} if result is None else {each.id: each for each in result.tasks}
        plan = () if result is None else result.plan.tasks
        known = {task.id for task in plan}
        for task in plan:
            done = results.get(task.id)
            # A plan is read while it is written, so that a task may have started before its end.
            self._add(self._planned if done is None else min(self._planned, done.started), TaskPlanned(task=task))
            if done is not None:
                self._task(done)
        if result is not None:
            self._add(self._planned, PlanReady(plan=Plan.model_construct(tasks=plan)))
            self._votes(result)
            if result.points:
                # Nothing of a tournament is written down but its end.
                self._add(self._last, StandingsChanged(points=_strongest(result.points), decided=result.complete))
        within: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            if entry.task is not None and (entry.path or entry.task not in known):
                within.setdefault((entry.path, entry.task), []).append(entry)
        for (path, name), calls in within.items():
            self._task(_result_of(name, calls), path, planned=True)

    def _task(self, result: TaskResult, path: str = "", *, planned: bool = False) -> None:
        started, ended = result.started, result.started + result.seconds
        # A call has its place in its task, however the clocks of the two were read.
        first, last = self._spans.get((path, result.id), (started, ended))
        started, ended = min(started, first), max(ended, last)
        if planned:
            self._add(started, TaskPlanned(task=result.task), path)
        self._add(started, TaskStarted(task_id=result.id, model=result.model or self.run.model), path)
        self._add(ended, TaskFinished(result=result), path)

    def _votes(self, result: RunResult[Any]) -> None:
        """Tell the votes as they were counted: each task's, when it had ended."""
        if not result.votes:
            return
        said = dict.fromkeys(result.support, result.answer or next(iter(result.votes)))
        said |= {task: each.answer for each in result.dissent for task in each.tasks}
        counted: dict[str, int] = {}
        voters = [each for each in _in_order_of_end(result.tasks) if each.id in said]
        for each in voters:
            counted[said[each.id]] = counted.get(said[each.id], 0) + 1
            votes = _strongest(counted)
            event = VoteCounted(task_id=each.id, votes=votes, decided=each is voters[-1])
            self._add(each.started + each.seconds, event)

    def end(self, decisions: Sequence[Entry]) -> None:
        """Add those with which the run ended, if it did, and the calls that wait for a decision."""
        run, result = self.run, self.run.result
        last = self._last
        for held in map(held_call, decisions):
            if held.decision is None:
                self._add(last, CallWaiting(call=held.call))
        if result is None and run.status == "running":
            return
        for note in () if result is None else result.notes:
            self._add(last, Noted(message=note))
        usage = NOTHING if result is None else result.usage
        seconds = last if result is None else result.seconds
        at = max(last, seconds)
        if result is not None and run.status in ("answered", "partial"):
            self._add(
                at,
                RunFinished(
                    text=result.text,
                    usage=usage,
                    seconds=seconds,
                    complete=result.complete,
                    stopped_by=result.stopped_by,
                    support=result.support,
                    dissent=result.dissent,
                    answer=result.answer,
                    votes=result.votes,
                    points=result.points,
                    citations=result.citations,
                ),
            )
        elif result is not None and run.status == "suspended":
            self._add(at, RunSuspended(pending=result.pending, usage=usage, seconds=seconds))
        else:
            self._add(at, RunFailed(error=run.error or _INTERRUPTED, usage=usage, seconds=seconds))


def _strongest(counts: Mapping[str, _Number]) -> dict[str, _Number]:
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:STRONGEST])


def _in_order_of_end(results: Iterable[TaskResult]) -> list[TaskResult]:
    return sorted(results, key=lambda each: each.started + each.seconds)


def _result_of(task: str, calls: Sequence[Entry]) -> TaskResult:
    """Return what came of a task of a run within another, of which there are the calls only."""
    last = calls[-1]
    started = min(each.started for each in calls)
    ended = max(each.started + each.seconds for each in calls)
    failed = last.outcome == "failed" and last.role != "tool"
    cut = last.outcome == "cancelled" or (last.error is not None and last.error.kind in CANCELLATIONS)
    return TaskResult(
        task=Task(id=task, prompt=""),
        outcome="cancelled" if cut else "failed" if failed else "answered",
        text=last.text if last.response is None else last.response.message.text,
        error=last.error if failed else None,
        usage=sum((each.usage for each in calls), NOTHING),
        model=last.name,
        started=started,
        seconds=ended - started,
    )
