"""Aggregators: async functions over the stream of results. When one returns, whatever is still running is cancelled.

Example:
    async def longest(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        texts = [result.text async for result in results if result.answered]
        return max(texts, key=len)
"""

from __future__ import annotations

from .base import Aggregator
from .by_kind import by_kind
from .first import first
from .synthesize import synthesize
from .vote import vote

__all__ = ["Aggregator", "by_kind", "first", "synthesize", "vote"]
