"""The limits of a run."""

from __future__ import annotations

from pydantic import Field

from .data import Data

# Before the name of a budget, where a limit is named.
BUDGET = "budget:"


class Limits(Data):
    """What a run may spend. None means no limit.

    Args:
        seconds: wall-clock time. Part of it is kept for the aggregator, which concludes from what has arrived.
        total_tokens: input and output tokens of all calls. Reserved before a call and settled after it, so that
            concurrent calls cannot exceed it.
        output_tokens: output tokens of all calls, reasoning included. Reserved like `total_tokens`.
        cost_usd: cost of all calls, in USD. Reserved like `total_tokens`; the prices of all models must be known.
        calls: model calls. One is kept for the aggregator.
        tasks: tasks that the run may start: the planner's, and those that an aggregator adds.
        concurrency: model calls in flight at the same time.
    """

    seconds: float | None = Field(default=None, gt=0)
    total_tokens: int | None = Field(default=None, gt=0)
    output_tokens: int | None = Field(default=None, gt=0)
    cost_usd: float | None = Field(default=None, gt=0)
    calls: int | None = Field(default=None, gt=0)
    tasks: int | None = Field(default=None, gt=0)
    concurrency: int | None = Field(default=None, gt=0)


def limit_in_words(limit: str) -> str:
    """Return a limit, as `stopped_by` names it, in words: a field of `Limits`, or a budget."""
    return f"budget {limit.removeprefix(BUDGET)!r}" if limit.startswith(BUDGET) else f"Limits.{limit}"
