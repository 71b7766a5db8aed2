"""The events of a run, as what they add to the reasoning and to the answer, in the order in which a client reads it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from ..data import to_json_text
from ..events import CallWaiting, Event, ModelCalled, OutputDelta, RunSuspended, TaskDelta, TaskFinished, TaskPlanned
from ..result import RunResult, TaskResult
from ..views.event_lines import EventLines

# Why an answer ends: it is whole, a limit cut it, or it asks the client to call its tools.
FinishReason = Literal["stop", "length", "tool_calls"]

_NUMBER = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """What a reply gains.

    `restart` says that the contents before are void, and that this one begins anew; `turn`, that they were said before
    a tool was called, and are over. `event` is the one that a line of the reasoning tells of.
    """

    reasoning: str = ""
    content: str = ""
    restart: bool = False
    turn: bool = False
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a run before it was suspended: a run that goes on repeats what it has recorded.

    Args:
        lines: the lines of progress, without their numbers, such as seconds, which may differ.
        thoughts: the reasoning of whoever writes the answer.
        content: the answer so far, and what its writer said before it called tools.
    """

    lines: tuple[str, ...] = ()
    thoughts: str = ""
    content: str = ""


NOTHING_TOLD = Told()


class _Unrepeated:
    """Passes on a text that comes in pieces, without the beginning that was told before."""

    def __init__(self, told: str) -> None:
        self._pieces: list[str] = []
        self._told = told

    @property
    def whole(self) -> str:
        """The text, with its beginning."""
        return "".join(self._pieces)

    def new(self, text: str) -> str:
        """Return what is new in the next piece."""
        if text:
            self._pieces.append(text)
        told = self._told
        if not told:
            return text
        if told.startswith(text):
            self._told = told[len(text) :]
            return ""
        self._told = ""
        return text.removeprefix(told)


class ReplyDeltas:
    """Makes deltas of one run's events.

    The contents since the last restart are the answer, after whatever its writer said before it called a tool. An
    answer that starts over with the same words goes on where it broke off; only one that differs is a restart.

    Args:
        typed: whether the answer is a value: it is told when it is whole and checked, as JSON and nothing beside it.
        told: what was told of the run before it was suspended.
    """

    def __init__(self, *, typed: bool = False, told: Told = NOTHING_TOLD) -> None:
        self._typed = typed
        self._lines = EventLines()
        self._mid_line = False
        self._answers: set[str] = set()
        self._written: list[str] = []
        self._again: str | None = None
        self._finish: str | None = None
        self._turn_over = False
        self._turn_untold = False
        self._said: list[str] = []
        self._told_lines = Counter(told.lines)
        self._all_lines: list[str] = []
        self._thoughts = _Unrepeated(told.thoughts)
        self._contents = _Unrepeated(told.content)

    @property
    def told(self) -> Told:
        """What has been told of the run."""
        return Told(tuple(self._all_lines), self._thoughts.whole, self._contents.whole)

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
                self._turn_over = self._turn_untold = event.finish == "tool_calls" and bool(self._written)
            case CallWaiting() | RunSuspended() | TaskFinished(result=TaskResult(outcome="suspended")):
                # That it waits for the client's tools is said by the calls.
                return None
        line = self._lines.line(event)
        if line is None or self._was_told(line):
            return None
        opening = "\n" if self._mid_line else ""
        self._mid_line = False
        return ReplyDelta(f"{opening}{line}\n", turn=self._new_turn(), event=event)

    def rest(self, result: RunResult[Any]) -> ReplyDelta | None:
        """Return what is still to be read when the run is over: an answer that was never streamed, or its end."""
        if self._typed:
            return ReplyDelta(content=self.text(result))
        written = "".join(self._written)
        if result.text.startswith(written):
            rest = result.text[len(written) :]
            return ReplyDelta(content=rest) if rest else None
        if self._again is not None and result.complete:
            return ReplyDelta(content=result.text, restart=True)
        return None

    def text(self, result: RunResult[Any]) -> str:
        """Return the answer; of a run that is suspended, what was said before it called tools."""
        if result.pending:
            return "".join(self._said)
        return to_json_text(result.output) if self._typed else result.text

    def finish_reason(self, result: RunResult[Any]) -> FinishReason:
        """Return why the answer ends where it does."""
        if result.pending:
            return "tool_calls"
        cut = result.stopped_by is not None or (not result.complete and self._finish == "length")
        return "length" if cut else "stop"

    def _was_told(self, line: str) -> bool:
        """Return whether a line of progress was told before the run was suspended, and take note of it."""
        named = _NUMBER.sub("#", line)
        self._all_lines.append(named)
        if not self._told_lines[named]:
            return False
        self._told_lines[named] -= 1
        return True

    def _output(self, event: OutputDelta) -> ReplyDelta | None:
        reasoning = self._thoughts.new(event.reasoning)
        if self._typed:
            self._mid_line = bool(reasoning) and not reasoning.endswith("\n")
            return ReplyDelta(reasoning) if reasoning else None
        opening = ""
        if self._turn_over and event.text:
            opening, self._written, self._turn_over = "\n\n", [], False
        elif event.restart and self._written and not self._turn_over:
            self._again = ""
        content, restart = (event.text, False) if self._again is None else self._repeated(event.text)
        if restart:
            self._written = []
        if content:
            self._written.append(content)
        if reasoning:
            self._mid_line = not reasoning.endswith("\n")
        if restart:
            self._contents, self._said = _Unrepeated(""), []
        content = self._contents.new(content)
        if not content and not reasoning:
            return None
        shown = (opening if self._said else "") + content if content else ""
        if shown:
            self._said.append(shown)
        return ReplyDelta(reasoning, shown, restart, self._new_turn())

    def _new_turn(self) -> bool:
        """Return whether what was said is over since something was told last."""
        untold, self._turn_untold = self._turn_untold, False
        return untold

    def _repeated(self, text: str) -> tuple[str, bool]:
        """Return what `text` adds to an answer that starts over, and whether it differs from what stood before."""
        again, written = (self._again or "") + text, "".join(self._written)
        if written.startswith(again):
            self._again = again
            return "", False
        self._again = None
        if again.startswith(written):
            return again[len(written) :], False
        return again, True
