"""The spans of one run, made from its events."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from .. import events
from ..data import to_json_text
from ..plan import Task
from ..result import ErrorInfo
from . import conventions as names
from .metrics import Attributes, RunMetrics

NANOSECONDS = 1e9
_NUMBER = re.compile(r"#\d+$")
AGGREGATOR = "aggregator"


class _Open(NamedTuple):
    """A span that is not over.

    Attributes:
        operation: what happens in it, by the conventions.
        at: when it began, in seconds of the run.
        told: what its metrics are told apart by.
    """

    span: Span
    operation: str
    at: float
    told: Attributes


class RunTrace:
    """The spans of an outermost run and of the runs within it, which are those that are not over.

    A span's key is the path of its run, and what it is within that run.

    Args:
        tracer: makes the spans.
        metrics: told of what is over.
        content: whether to tell what was asked, answered, and given to tools.
        began: when the run began, in seconds since 1970.
    """

    def __init__(self, tracer: Tracer, metrics: RunMetrics, *, content: bool, began: float) -> None:
        self._tracer, self._metrics, self._content, self._began = tracer, metrics, content, began
        self._open: dict[tuple[str, ...], _Open] = {}
        self._tasks: dict[tuple[str, str], Task] = {}

    @property
    def over(self) -> bool:
        """Whether no span is open."""
        return not self._open

    def add(self, event: events.Event) -> None:
        """Begin, tell or end what `event` says."""
        tell = _TOLD_BY.get(type(event))
        if tell is not None:
            tell(self, event)

    # Runs

    def _run_started(self, event: events.RunStarted) -> None:
        told: Attributes = {
            names.WORKFLOW_NAME: "contemplate",
            "contemplate.run_id": event.run_id,
            "contemplate.path": event.path,
        }
        if self._content:
            told[names.INPUT_MESSAGES] = _message("user", event.question)
        within = self._task_of_run(event.path) if event.path else None
        self._begin((event.path, "run"), names.INVOKE_WORKFLOW, "contemplate", event.at, within, told)

    def _task_of_run(self, path: str) -> Span | None:
        """Return the span within which the run at `path` was made: of a task, a role, or the run around it."""
        outer, _, name = path.rpartition("/")
        name = _NUMBER.sub("", name)
        for key in ((outer, "task", name), (outer, name), (outer, "run")):
            if key in self._open:
                return self._open[key].span
        return None

    def _run_finished(self, event: events.RunFinished) -> None:
        told: Attributes = {"contemplate.complete": event.complete}
        if self._content:
            told[names.OUTPUT_MESSAGES] = _message("assistant", event.text)
        if event.stopped_by is not None:
            told["contemplate.stopped_by"] = event.stopped_by
        self._run_over(event, told)

    def _run_suspended(self, event: events.RunSuspended) -> None:
        self._run_over(event, {"contemplate.suspended": True})

    def _run_failed(self, event: events.RunFailed) -> None:
        self._run_over(event, {}, event.error)

    def _run_over(
        self,
        event: events.RunFinished | events.RunSuspended | events.RunFailed,
        told: Attributes,
        error: ErrorInfo | None = None,
    ) -> None:
        # What was cancelled does not always say so.
        inner = f"{event.path}/" if event.path else ""
        for key in reversed(tuple(self._open)):
            if key != (event.path, "run") and (key[0] == event.path or key[0].startswith(inner)):
                self._end(key, event.at, {})
        self._end((event.path, "run"), event.at, told, error)

    # Tasks

    def _planned(self, event: events.TaskPlanned) -> None:
        self._tasks[event.path, event.task.id] = event.task

    def _plan_ready(self, event: events.PlanReady) -> None:
        self._end((event.path, "plan"), event.at, {"contemplate.tasks": len(event.plan.tasks)})

    def _task_started(self, event: events.TaskStarted) -> None:
        task = self._tasks.get((event.path, event.task_id))
        label = event.task_id if task is None else task.label
        told: Attributes = {names.AGENT_NAME: label, names.AGENT_ID: event.task_id}
        if self._content and task is not None:
            told[names.INPUT_MESSAGES] = _message("user", task.prompt)
        self._begin(
            (event.path, "task", event.task_id), names.INVOKE_AGENT, label, event.at, self._run_span(event.path), told
        )

    def _task_finished(self, event: events.TaskFinished) -> None:
        result = event.result
        told: Attributes = {"contemplate.outcome": result.outcome}
        if self._content and result.text:
            told[names.OUTPUT_MESSAGES] = _message("assistant", result.text)
        self._end((event.path, "task", result.task.id), event.at, told, result.error)

    def _run_span(self, path: str) -> Span | None:
        run = self._open.get((path, "run"))
        return None if run is None else run.span

    # Model calls

    @staticmethod
    def _call_key(name: events.CallName) -> tuple[str, ...]:
        return name.path, "call", name.role, name.task or "", str(name.turn)

    def _call_started(self, event: events.CallStarted) -> None:
        name = event.name
        provider, model = names.provider_and_model(event.model)
        told: Attributes = {names.PROVIDER: provider, names.REQUEST_MODEL: model}
        self._begin(
            self._call_key(name), names.CHAT, model, event.at, self._caller(name, event.at), told, SpanKind.CLIENT
        )

    def _caller(self, name: events.CallName, at: float) -> Span | None:
        """Return the span of who calls: a task's; or that of planning or concluding, begun by its first call."""
        task = self._open.get((name.path, "task", name.task or ""))
        if task is not None:
            return task.span
        key = (name.path, "plan" if name.role == "planner" else AGGREGATOR)
        if key not in self._open:
            operation = names.PLAN if name.role == "planner" else names.INVOKE_AGENT
            told: Attributes = {} if name.role == "planner" else {names.AGENT_NAME: AGGREGATOR}
            shown = "contemplate" if name.role == "planner" else AGGREGATOR
            self._begin(key, operation, shown, at, self._run_span(name.path), told)
        return self._open[key].span

    def _repeated(self, event: events.CallRepeated) -> None:
        why: Attributes = {"contemplate.why": event.message} if self._content else {}
        self._note(self._call_key(event.name), event.reason, event.at, why)

    def _call_finished(self, event: events.ModelCalled) -> None:
        usage = event.usage
        _, model = names.provider_and_model(event.model)
        told: Attributes = {names.RESPONSE_MODEL: model}
        key = self._call_key(event.name)
        if event.recorded:
            # It was paid for by the run that made it, in whose trace its tokens are.
            told["contemplate.recorded"] = True
        else:
            told |= {
                names.INPUT_TOKENS: usage.input_tokens,
                names.OUTPUT_TOKENS: usage.output_tokens,
                names.CACHED_TOKENS: usage.cached_input_tokens,
                names.REASONING_TOKENS: usage.reasoning_tokens,
                "contemplate.queued": event.queued,
            }
            if usage.cost_usd is not None:
                told["contemplate.cost_usd"] = usage.cost_usd
            if event.first is not None:
                told[names.TO_FIRST_CHUNK] = event.first
            if key in self._open:
                self._metrics.called(usage, event.first, self._open[key].told | {names.RESPONSE_MODEL: model})
        if event.finish is not None:
            told[names.FINISH_REASONS] = (event.finish,)
        self._end(key, event.at, told, event.error, measured=not event.recorded)

    # Tool calls

    def _tool_started(self, event: events.ToolStarted) -> None:
        told: Attributes = {
            names.TOOL_NAME: event.tool,
            names.TOOL_CALL_ID: event.call_id,
            names.TOOL_TYPE: "function",
        }
        if self._content:
            told[names.TOOL_ARGUMENTS] = event.arguments
        task = self._open.get((event.path, "task", event.task_id)) or self._open.get((event.path, AGGREGATOR))
        within = self._run_span(event.path) if task is None else task.span
        key = (event.path, "tool", event.task_id, event.call_id)
        self._begin(key, names.EXECUTE_TOOL, event.tool, event.at, within, told)

    def _tool_finished(self, event: events.ToolFinished) -> None:
        told: Attributes = {names.TOOL_RESULT: event.text} if self._content else {}
        self._end((event.path, "tool", event.task_id, event.call_id), event.at, told, event.error)

    def _tool_progress(self, event: events.ToolProgress) -> None:
        said: Attributes = {"contemplate.message": event.message} if self._content else {}
        self._note((event.path, "tool", event.task_id, event.call_id), "progress", event.at, said)

    # Events of a run's span

    def _voted(self, event: events.VoteCounted) -> None:
        told: Attributes = {"contemplate.counts": tuple(event.votes.values()), "contemplate.decided": event.decided}
        if self._content:
            told["contemplate.votes"] = to_json_text(event.votes)
        self._note((event.path, "run"), event.kind, event.at, told)

    def _ranked(self, event: events.StandingsChanged) -> None:
        told: Attributes = {"contemplate.counts": tuple(event.points.values()), "contemplate.decided": event.decided}
        if event.pair is not None:
            told["contemplate.pair"] = event.pair
        if event.score is not None:
            told["contemplate.score"] = event.score
        self._note((event.path, "run"), event.kind, event.at, told)

    def _limited(self, event: events.LimitReached) -> None:
        self._note((event.path, "run"), event.kind, event.at, {"contemplate.limit": event.limit})

    def _condensed(self, event: events.ContextCondensed) -> None:
        told: Attributes = {
            "contemplate.turns": event.turns,
            "contemplate.tokens_before": event.tokens_before,
            "contemplate.tokens_after": event.tokens_after,
        }
        self._note((event.path, "run"), event.kind, event.at, told)

    def _waits(self, event: events.CallWaiting) -> None:
        told: Attributes = {names.TOOL_NAME: event.call.tool, names.TOOL_CALL_ID: event.call.id}
        self._note((event.path, "run"), event.kind, event.at, told)

    def _noted(self, event: events.Noted) -> None:
        if self._content:
            self._note((event.path, "run"), event.kind, event.at, {"contemplate.message": event.message})

    # Spans

    def _nanoseconds(self, at: float) -> int:
        return int((self._began + at) * NANOSECONDS)

    def _begin(
        self,
        key: tuple[str, ...],
        operation: str,
        shown: str,
        at: float,
        within: Span | None,
        told: Attributes,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        span = self._tracer.start_span(
            f"{operation} {shown}",
            # Of the outermost run: within whatever is current where it was begun.
            context=None if within is None else set_span_in_context(within),
            kind=kind,
            attributes={
                names.OPERATION: operation,
                names.OPENINFERENCE_KIND: names.OPENINFERENCE_KINDS[operation],
                **told,
            },
            start_time=self._nanoseconds(at),
        )
        self._open[key] = _Open(span, operation, at, _told_apart_by(told))

    def _note(self, key: tuple[str, ...], name: str, at: float, told: Attributes) -> None:
        found = self._open.get(key)
        if found is not None:
            found.span.add_event(name, told, self._nanoseconds(at))

    def _end(
        self,
        key: tuple[str, ...],
        at: float,
        told: Attributes,
        error: ErrorInfo | None = None,
        *,
        measured: bool = True,
    ) -> None:
        found = self._open.pop(key, None)
        if found is None:
            return
        found.span.set_attributes(told)
        if error is not None:
            found.span.set_attribute(names.ERROR_TYPE, error.kind)
            found.span.set_status(Status(StatusCode.ERROR, error.message if self._content else error.kind))
        if measured:
            failed: Attributes = {} if error is None else {names.ERROR_TYPE: error.kind}
            self._metrics.took(found.operation, at - found.at, found.told | failed)
        found.span.end(self._nanoseconds(at))


_TOLD_BY: dict[type[events.RunEvent], Callable[[RunTrace, Any], None]] = {
    events.RunStarted: RunTrace._run_started,
    events.RunFinished: RunTrace._run_finished,
    events.RunSuspended: RunTrace._run_suspended,
    events.RunFailed: RunTrace._run_failed,
    events.TaskPlanned: RunTrace._planned,
    events.PlanReady: RunTrace._plan_ready,
    events.TaskStarted: RunTrace._task_started,
    events.TaskFinished: RunTrace._task_finished,
    events.CallStarted: RunTrace._call_started,
    events.CallRepeated: RunTrace._repeated,
    events.ModelCalled: RunTrace._call_finished,
    events.ToolStarted: RunTrace._tool_started,
    events.ToolProgress: RunTrace._tool_progress,
    events.ToolFinished: RunTrace._tool_finished,
    events.VoteCounted: RunTrace._voted,
    events.StandingsChanged: RunTrace._ranked,
    events.LimitReached: RunTrace._limited,
    events.ContextCondensed: RunTrace._condensed,
    events.CallWaiting: RunTrace._waits,
    events.Noted: RunTrace._noted,
}


def _message(role: str, text: str) -> str:
    return to_json_text([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _told_apart_by(told: Attributes) -> Attributes:
    """Return what tells metrics apart: few values, whatever is asked."""
    kept = (names.PROVIDER, names.REQUEST_MODEL, names.WORKFLOW_NAME, names.TOOL_NAME)
    return {name: told[name] for name in kept if name in told}
