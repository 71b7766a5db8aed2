"""Aggregate once enough tasks, or all required ones, are answered."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable

import anyio

from ..arguments import checked_arguments
from ..errors import ConfigurationError, QuorumNotReached
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.protocols import Aggregator, likely_model_calls, models_of, more_tasks, subagent_settings


@checked_arguments
def quorum(inner: Aggregator, *, enough: int | None = None, required: str | Collection[str] = ()) -> _Quorum:
    """Aggregate with `inner` as soon as enough tasks are answered, and cancel the rest.

    Results are collected until `enough` tasks and all `required` ones are answered; `inner` receives only these, so
    that its own early stop has no effect. Costs what `inner` costs.

    Args:
        inner: the aggregator of the collected results.
        enough: required number of answered tasks; if None, only the `required` ones count.
        required: ids of tasks that must be answered.

    Raises:
        ConfigurationError: neither `enough` nor `required` is given, or `enough` is less than one.
    """
    if enough is None and not required:
        raise ConfigurationError("quorum() requires nothing", hint="pass enough=, required=, or both")
    if enough is not None and enough < 1:
        raise ConfigurationError(f"quorum({enough=}): enough must be at least 1")
    return _Quorum(inner, enough or 0, tuple([required] if isinstance(required, str) else required))


class _Quorum:
    def __init__(self, inner: Aggregator, enough: int, required: tuple[str, ...]) -> None:
        if hasattr(inner, "model_calls"):
            self.model_calls: int | Callable[[int], int | None] = inner.model_calls
        if more := more_tasks(inner):
            self.more_tasks = more
        self.subagent_settings = subagent_settings(inner)
        self.models = models_of(inner)
        self._inner = inner
        self._enough = enough
        self._required = required

    def likely_calls(self, tasks: int) -> int | None:
        """Return how many calls `inner` usually makes."""
        return likely_model_calls(self._inner, tasks)

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion | str:
        gathered = _Gathered(self._required)
        with anyio.CancelScope() as gathering:

            def planned() -> None:
                # It is known only now whether too few tasks were planned, and the next result may be far off.
                if self._lost(gathered, ctx):
                    gathering.cancel()

            ctx.when_planned(planned)
            async for result in results:
                gathered.add(result)
                if self._reached(gathered) or self._lost(gathered, ctx):
                    break
        if not self._reached(gathered):
            raise QuorumNotReached(self._lacking(gathered, ctx), hint="raise the limits, or require fewer answers")
        return await self._inner(question, gathered, ctx)

    def _reached(self, gathered: _Gathered) -> bool:
        return gathered.answered >= self._enough and not gathered.lacking

    def _lost(self, gathered: _Gathered, ctx: RunContext) -> bool:
        """Return whether the quorum can no longer be reached."""
        if any(name in gathered.lost for name in gathered.lacking):
            return True
        if not ctx.plan_done:
            return False
        return len(ctx.planned) - len(gathered.lost) < self._enough or any(
            not ctx.is_planned(name) for name in gathered.lacking
        )

    def _lacking(self, gathered: _Gathered, ctx: RunContext) -> str:
        problems = []
        if gathered.answered < self._enough:
            problems.append(
                f"{gathered.answered} of {len(ctx.planned)} tasks were answered, but {self._enough} are required"
            )
        for name in gathered.lacking:
            if name in gathered.lost:
                lost = gathered.lost[name]
                problems.append(f"required task {name!r}: {lost.outcome if lost.error is None else lost.error.message}")
            else:
                problems.append(f"required task {name!r} has no result")
        return "; ".join(problems)


class _Gathered:
    """Collected results, and a stream of them. `lacking` holds the required tasks that are not answered."""

    def __init__(self, required: Iterable[str]) -> None:
        self.answered = 0
        self.lost: dict[str, TaskResult] = {}
        self.lacking = dict.fromkeys(required)
        self._results: deque[TaskResult] = deque()

    def add(self, result: TaskResult) -> None:
        """Add a result."""
        self._results.append(result)
        if result.answered:
            self.answered += 1
            self.lacking.pop(result.id, None)
        else:
            self.lost[result.id] = result

    def __aiter__(self) -> _Gathered:
        return self

    async def __anext__(self) -> TaskResult:
        if not self._results:
            raise StopAsyncIteration
        return self._results.popleft()
