"""What an aggregator is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from ..context import RunContext
from ..errors import AggregationError
from ..result import Conclusion, TaskResult


class Aggregator(Protocol):
    """Concludes from the results of a run as they come in.

    The stream ends when all tasks are done, or when a limit is reached: then conclude from what is there. What is
    left with `ctx.offer` is taken if the time runs out before the function returns.

    A function that makes no model calls may say so with an attribute `model_calls = 0`, so that no share of the limits
    is kept for it.
    """

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion | str:
        """Conclude. What it raises ends the run, with all that was finished in the error's `partial`."""
        ...


def nothing_answered(results: Iterable[TaskResult]) -> AggregationError:
    """The error for a run in which no task was answered; it says what the first one failed with."""
    seen = list(results)
    if not seen:
        return AggregationError("no task was finished", hint="raise the limits, or look at the planner")
    first = next((each for each in seen if each.error is not None), seen[0])
    if len(seen) == 1 and first.error is not None and first.error.kind == AggregationError.__name__:
        # It was a run of its own, which has said it already.
        return AggregationError(first.error.message, hint=first.error.hint)
    if first.error is not None:
        why, hint = f"{first.error.kind}: {first.error.message}", first.error.hint
    elif first.outcome == "capped":
        why = "it was capped by a limit of its own before its answer"
        hint = (
            "raise max_tokens in its settings, its agent's max_turns, or the limits of a contemplator within the task; "
            "what it wrote is in the error's `partial`"
        )
    else:
        why, hint = first.outcome, None
    which = "the only task was not" if len(seen) == 1 else f"none of the {len(seen)} tasks was"
    return AggregationError(f"{which} answered; {first.id!r}: {why}", hint=hint)
