"""The first answer is the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..context import RunContext
from ..result import Conclusion, TaskResult
from .base import nothing_answered
from .kept import NoModelCalls, concluded


class _First(NoModelCalls):
    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion:
        seen: list[TaskResult] = []
        async for result in results:
            if result.answered:
                return concluded(result, ctx)
            seen.append(result)
        for result in seen:
            if result.outcome in ("capped", "cancelled") and result.text and ctx.output is None:
                return concluded(result, ctx, complete=False)
        raise nothing_answered(seen)


def first() -> _First:
    """Take the first task that is answered, and cancel the rest. If none is, the text of one that was cut off."""
    return _First()
