"""Whether answers agree: what routes, rounds and mixtures look at before they ask for more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .. import answers
from ..result import TaskResult
from ..run.context import RunContext

# Returns the canonical key of an answer: of its text, or of its output where the run has a type.
Key = Callable[[Any], object]


def key_of(result: TaskResult, key: Key | None, ctx: RunContext) -> str | None:
    """Return the canonical key of an answer; None if there is none, or if it cannot be parsed."""
    if not result.answered:
        return None
    found = (key or answers.final)(result.text) if ctx.output is None else (key or answers.typed)(result.output)
    return found if found is None or isinstance(found, str) else answers.typed(found)


def agreement(results: Sequence[TaskResult], key: Key | None, ctx: RunContext) -> float:
    """Return the share of `results` that give the most frequent answer; those without an answer agree with none."""
    keys = [key_of(result, key, ctx) for result in results]
    counts = Counter(each for each in keys if each is not None)
    return max(counts.values(), default=0) / len(keys)
