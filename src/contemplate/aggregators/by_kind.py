"""Dispatch to one aggregator for candidates and another for parts, for planners that may yield either."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

from ..arguments import checked_arguments
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.protocols import Aggregator, likely_model_calls, models_of, more_tasks, most_model_calls, subagent_settings


@checked_arguments
def by_kind(*, candidates: Aggregator, others: Aggregator) -> _ByKind:
    """Pass all results to `candidates` if the first one is a candidate, else to `others`.

    Costs what the chosen aggregator costs.
    """
    return _ByKind(candidates, others)


class _ByKind:
    def __init__(self, candidates: Aggregator, others: Aggregator) -> None:
        calls = [getattr(each, "model_calls", None) for each in (candidates, others)]
        stated = [each for each in calls if isinstance(each, int)]
        self.model_calls: int | Callable[[int], int | None] = (
            max(stated) if len(stated) == len(calls) else self._most_calls
        )
        if more := max(map(more_tasks, (candidates, others))):
            self.more_tasks = more
        settings = [each for each in map(subagent_settings, (candidates, others)) if each is not None]
        self.subagent_settings = settings[0].over(settings[-1]) if settings else None
        self.models = (*models_of(candidates), *models_of(others))
        self._candidates = candidates
        self._others = others

    def _most_calls(self, tasks: int) -> int | None:
        return _most(most_model_calls(each, tasks) for each in (self._candidates, self._others))

    def likely_calls(self, tasks: int) -> int | None:
        """Return how many calls the one that usually makes more of them makes."""
        return _most(likely_model_calls(each, tasks) for each in (self._candidates, self._others))

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion | str:
        first = await anext(results, None)
        chosen = self._candidates if first is not None and first.task.kind == "candidate" else self._others
        return await chosen(question, _Prepended(first, results), ctx)


def _most(calls: Iterable[int | None]) -> int | None:
    known = list(calls)
    numbers = [each for each in known if each is not None]
    return max(numbers) if len(numbers) == len(known) else None


class _Prepended:
    """An async iterator that yields `first`, if there is one, and then `rest`."""

    def __init__(self, first: TaskResult | None, rest: AsyncIterator[TaskResult]) -> None:
        self._first = first
        self._rest = rest

    def __aiter__(self) -> _Prepended:
        return self

    async def __anext__(self) -> TaskResult:
        first, self._first = self._first, None
        return await anext(self._rest) if first is None else first
