"""How a run's vote or tournament ended, what it cost, what is missing from it, and what it had reached, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import StandingsChanged, VoteCounted
from ..limits import BUDGET, limit_in_words
from ..redaction import redact
from ..result import Outcome, RunResult, TaskResult
from ..usage import Usage

MAX_ANSWER = 60

_END: dict[Outcome, str] = {
    "answered": "answered",
    "capped": "cut short",
    "failed": "failed",
    "cancelled": "unfinished",
    "suspended": "waits for a decision",
}


def summary_line(result: RunResult[Any]) -> str:
    """Return how its vote or tournament ended, what a run cost, and what is missing from it, in one line."""
    parts = [cost_line(result)]
    if result.pending:
        parts.append(f"suspended: {len(result.pending)} tool calls wait for a decision")
    elif not result.complete:
        missing = f" (missing: {', '.join(result.missing)})" if result.missing else ""
        parts.append(f"incomplete{missing}")
    return " · ".join(parts)


def cost_line(result: RunResult[Any]) -> str:
    """Return how its vote or tournament ended, what a run cost, and which limit stopped it, in one line."""
    parts = [*_decision(result), usage_text(result.usage), f"{result.seconds:.1f} s"]
    if result.stopped_by:
        parts.append(f"stopped by {_limit(result.stopped_by)}")
    return " · ".join(parts)


def _limit(limit: str) -> str:
    return limit_in_words(limit) if limit.startswith(BUDGET) else f"the limit on {limit}"


def _decision(result: RunResult[Any]) -> list[str]:
    if result.points:
        return [first_place(result.points)]
    if result.answer is None or not result.votes:
        return []
    return [majority(result.answer, next(iter(result.votes.values())), sum(result.votes.values()))]


def leading(event: VoteCounted | StandingsChanged) -> str:
    """Return who is ahead in a vote or a tournament, in a few words; "" if nobody is."""
    match event:
        case VoteCounted(votes=votes) if votes:
            return majority(*next(iter(votes.items())), sum(votes.values()))
        case StandingsChanged(points=points) if points:
            return first_place(points)
    return ""


def first_place(points: Mapping[str, float]) -> str:
    """Return who is first by these points, the strongest first, such as "sample-5 is first with 2.5 points"."""
    first, most = next(iter(points.items()))
    return f"{_short(first)} is first with {most:.6g} point{'' if most == 1 else 's'}"


def majority(answer: str, votes: int, of: int) -> str:
    """Return how many votes an answer has, such as "3 of 4 said 42"."""
    return f"{votes} of {of} said {_short(answer)}"


def _short(text: str) -> str:
    line = " ".join(redact(text).split())
    return line if len(line) <= MAX_ANSWER else line[: MAX_ANSWER - 3] + "..."


def usage_text(usage: Usage) -> str:
    """Return the numbers of calls and tokens and, where it is known, the money."""
    calls = "1 call" if usage.calls == 1 else f"{usage.calls} calls"
    cached = f" ({usage.cached_input_tokens:,} cached)" if usage.cached_input_tokens else ""
    text = f"{calls} · {usage.input_tokens:,} tokens in{cached}, {usage.output_tokens:,} out"
    return text if not usage.cost_usd else f"{text} · ${usage.cost_usd:.4f}"


def failure_reason(result: TaskResult) -> str:
    """Return the message of a failed task's error, with a colon before it, for the end of a line; "" if none failed."""
    return "" if result.error is None else f": {redact(result.error.message)}"


def partial_text(partial: RunResult[Any]) -> str:
    """Return the texts that a run had finished when it was stopped, and as much of the answer as there was."""
    parts = [each for each in partial.tasks if each.text and each.task.kind != "answer"]
    if not parts:
        answers = [partial.text, *(each.text for each in partial.tasks)]
        return next((f"{text.strip()}\n" for text in answers if text.strip()), "")
    sections = [f"## {each.task.label} ({_END[each.outcome]})\n\n{each.text.strip()}\n" for each in parts]
    if partial.text.strip():
        sections.append(f"## The answer, as far as it was written\n\n{partial.text.strip()}\n")
    return "\n".join(sections)
