"""Whether answers agree: what rounds and mixtures look at before they ask for more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..result import TaskResult
from ..run.answer_keys import Key, key_of
from ..run.context import RunContext


def agreement(results: Sequence[TaskResult], key: Key | None, ctx: RunContext) -> float:
    """Return the share of `results` that give the most frequent answer; those without an answer agree with none.

    Raises:
        AggregationError: the key function raised an error.
    """
    keys = [key_of(result, key, ctx) for result in results]
    counts = Counter(each for each in keys if each is not None)
    return max(counts.values(), default=0) / len(keys)
