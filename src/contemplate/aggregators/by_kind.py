"""One aggregator for candidates, another for parts: for planners of which nobody knows beforehand what they yield."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.protocols import Aggregator


def by_kind(*, candidates: Aggregator, others: Aggregator) -> _ByKind:
    """What the first result is decides: a candidate goes, with all that follow, to `candidates`, else to `others`.

    Costs what the chosen one costs.
    """
    return _ByKind(candidates, others)


class _ByKind:
    def __init__(self, candidates: Aggregator, others: Aggregator) -> None:
        self.model_calls = max(int(getattr(each, "model_calls", 1)) for each in (candidates, others))
        self._candidates = candidates
        self._others = others

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion | str:
        first = await anext(results, None)
        chosen = self._candidates if first is not None and first.task.kind == "candidate" else self._others
        return await chosen(question, _Again(first, results), ctx)


class _Again:
    """An iterator with its first item put back."""

    def __init__(self, first: TaskResult | None, rest: AsyncIterator[TaskResult]) -> None:
        self._first = first
        self._rest = rest

    def __aiter__(self) -> _Again:
        return self

    async def __anext__(self) -> TaskResult:
        first, self._first = self._first, None
        return await anext(self._rest) if first is None else first
