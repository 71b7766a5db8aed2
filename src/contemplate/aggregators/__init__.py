"""Aggregators: async functions over the stream of results. When one returns, all running tasks are cancelled.

Example:
    async def longest(question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> str:
        texts = [result.text async for result in results if result.answered]
        return max(texts, key=len)
"""

from __future__ import annotations

from ..run.protocols import Aggregator
from .agentic import agentic
from .by_kind import by_kind
from .check import check
from .first import first
from .judge import judge
from .logprob_weights import by_logprobs
from .majority_of_bests import majority_of_bests
from .missed_form import NAMED
from .quorum import quorum
from .synthesize import synthesize
from .tournament import tournament
from .vote import vote
from .weights import Weights, by_accuracy, by_confidence

NAMED.update(first=first, vote=vote, synthesize=synthesize)

__all__ = [
    "Aggregator",
    "Weights",
    "agentic",
    "by_accuracy",
    "by_confidence",
    "by_kind",
    "by_logprobs",
    "check",
    "first",
    "judge",
    "majority_of_bests",
    "quorum",
    "synthesize",
    "tournament",
    "vote",
]
