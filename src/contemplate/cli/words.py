"""What is said about a run, in words."""

from __future__ import annotations

from typing import Any

from ..result import RunResult, TaskResult
from ..usage import Usage

_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]) | {ord("\n"): "\n", ord("\t"): "\t"}


def printable(text: str) -> str:
    """`text` without control characters: what a model or a server says must not steer the terminal."""
    return text.translate(_CONTROLS)


def why(result: TaskResult) -> str:
    """What a task failed of, for the end of a line."""
    return "" if result.error is None else f": {result.error.message}"


def summary(result: RunResult[Any]) -> str:
    """What a run cost, and what is missing, in one line."""
    parts = [spent(result.usage), f"{result.seconds:.1f} s"]
    if result.stopped_by:
        parts.append(f"stopped by the limit on {result.stopped_by}")
    if not result.complete:
        missing = f" (missing: {', '.join(result.missing)})" if result.missing else ""
        parts.append(f"incomplete{missing}")
    return " · ".join(parts)


def spent(usage: Usage) -> str:
    """Calls, tokens and, where it is known, money."""
    calls = "1 call" if usage.calls == 1 else f"{usage.calls} calls"
    cached = f" ({usage.cached_input_tokens:,} cached)" if usage.cached_input_tokens else ""
    text = f"{calls} · {usage.input_tokens:,} tokens in{cached}, {usage.output_tokens:,} out"
    return text if not usage.cost_usd else f"{text} · ${usage.cost_usd:.4f}"


def reached(partial: RunResult[Any]) -> str:
    """The texts that a run had finished when it was stopped, and as much of the answer as there was."""
    parts = [each for each in partial.tasks if each.text and each.task.kind != "answer"]
    if not parts:
        answers = [partial.text, *(each.text for each in partial.tasks)]
        return next((f"{text.strip()}\n" for text in answers if text.strip()), "")
    sections = [f"## {each.task.label} ({each.outcome})\n\n{each.text.strip()}\n" for each in parts]
    if partial.text.strip():
        sections.append(f"## The answer, as far as it was written\n\n{partial.text.strip()}\n")
    return "\n".join(sections)
