"""The first answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from .conclusions import NoModelCalls, conclusion_of, nothing_answered


class _First(NoModelCalls):
    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        # No time is reserved for this aggregator: at the deadline it is cancelled together with the tasks.
        ctx.offer(lambda: _best_available(ctx))
        async for result in results:
            if result.answered:
                return conclusion_of(result, ctx)
        return _best_available(ctx)


def _best_available(ctx: RunContext) -> Conclusion:
    for result in ctx.results.values():
        if result.answered:
            return conclusion_of(result, ctx)
    for result in ctx.results.values():
        if result.outcome in ("capped", "cancelled") and result.text and ctx.output is None:
            return conclusion_of(result, ctx, complete=False)
    raise nothing_answered(ctx.results.values())


def first() -> _First:
    """Return the first answer and cancel the rest; if there is none, return the text of a truncated task."""
    return _First()
