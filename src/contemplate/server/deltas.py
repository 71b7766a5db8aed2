"""The events of a run, as what they add to the reasoning and to the answer, in the order in which a client reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..data import to_json_text
from ..events import Event, ModelCalled, OutputDelta, TaskDelta, TaskPlanned
from ..result import RunResult
from ..views.event_lines import EventLines

# Why an answer ends: it is whole, a limit cut it, or it asks the client to call its tools.
FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """What a reply gains. `restart` says that the contents before are void, and that this one begins anew."""

    reasoning: str = ""
    content: str = ""
    restart: bool = False


class ReplyDeltas:
    """Makes deltas of one run's events.

    The contents since the last restart are the answer, after whatever its writer said before it called a tool. An
    answer that starts over with the same words goes on where it broke off; only one that differs is a restart.

    Args:
        typed: whether the answer is a value: it is told when it is whole and checked, as JSON and nothing beside it.
    """

    def __init__(self, *, typed: bool = False) -> None:
        self._typed = typed
        self._lines = EventLines()
        self._mid_line = False
        self._answers: set[str] = set()
        self._written = ""
        self._again: str | None = None
        self._finish: str | None = None
        self._turn_over = False

    def of(self, event: Event) -> ReplyDelta | None:
        """Return what `event` adds; None if nothing."""
        match event:
            case OutputDelta():
                return self._output(event)
            case TaskDelta():
                return None
            case TaskPlanned(task=task) if task.kind == "answer" and not event.path:
                self._answers.add(task.id)
            case ModelCalled(name=name) if not event.path and (name.role == "aggregator" or name.task in self._answers):
                self._finish = event.finish
                self._turn_over = event.finish == "tool_calls" and bool(self._written)
        line = self._lines.line(event)
        if line is None:
            return None
        opening = "\n" if self._mid_line else ""
        self._mid_line = False
        return ReplyDelta(reasoning=f"{opening}{line}\n")

    def rest(self, result: RunResult[Any]) -> ReplyDelta | None:
        """Return what is still to be read when the run is over: an answer that was never streamed, or its end."""
        if self._typed:
            return ReplyDelta(content=self.text(result))
        if result.text.startswith(self._written):
            rest = result.text[len(self._written) :]
            return ReplyDelta(content=rest) if rest else None
        if self._again is not None and result.complete:
            return ReplyDelta(content=result.text, restart=True)
        return None

    def text(self, result: RunResult[Any]) -> str:
        """Return the answer."""
        return to_json_text(result.output) if self._typed else result.text

    def finish_reason(self, result: RunResult[Any]) -> FinishReason:
        """Return why the answer ends where it does."""
        cut = result.stopped_by is not None or (not result.complete and self._finish == "length")
        return "length" if cut else "stop"

    def _output(self, event: OutputDelta) -> ReplyDelta | None:
        if self._typed:
            self._mid_line = bool(event.reasoning) and not event.reasoning.endswith("\n")
            return ReplyDelta(event.reasoning) if event.reasoning else None
        opening = ""
        if self._turn_over and event.text:
            opening, self._written, self._turn_over = "\n\n", "", False
        elif event.restart and self._written and not self._turn_over:
            self._again = ""
        content, restart = (event.text, False) if self._again is None else self._repeated(event.text)
        self._written = content if restart else self._written + content
        if event.reasoning:
            self._mid_line = not event.reasoning.endswith("\n")
        if not content and not event.reasoning:
            return None
        return ReplyDelta(event.reasoning, opening + content if content else "", restart)

    def _repeated(self, text: str) -> tuple[str, bool]:
        """Return what `text` adds to an answer that starts over, and whether it differs from what stood before."""
        again = (self._again or "") + text
        if self._written.startswith(again):
            self._again = again
            return "", False
        self._again = None
        if again.startswith(self._written):
            return again[len(self._written) :], False
        return again, True
