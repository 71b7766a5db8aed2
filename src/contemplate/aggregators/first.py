"""The first answer is the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from .conclusions import NoModelCalls, concluded, nothing_answered


class _First(NoModelCalls):
    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        # No time is kept for this function: at the deadline it is cut off together with the tasks.
        ctx.offer(lambda: _cut_off(ctx))
        async for result in results:
            if result.answered:
                return concluded(result, ctx)
        return _cut_off(ctx)


def _cut_off(ctx: RunContext) -> Conclusion:
    for result in ctx.results.values():
        if result.answered:
            return concluded(result, ctx)
    for result in ctx.results.values():
        if result.outcome in ("capped", "cancelled") and result.text and ctx.output is None:
            return concluded(result, ctx, complete=False)
    raise nothing_answered(ctx.results.values())


def first() -> _First:
    """Take the first task that is answered, and cancel the rest. If none is, the text of one that was cut off."""
    return _First()
