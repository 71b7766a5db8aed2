"""How many answers are enough, and which must be among them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import anyio

from ..context import RunContext
from ..errors import ConfigurationError, QuorumNotReached
from ..result import Conclusion, TaskResult
from .base import Aggregator


def quorum(inner: Aggregator, *, enough: int | None = None, required: Collection[str] = ()) -> _Quorum:
    """Conclude as `inner` does, from the first results that are enough; the rest is cancelled.

    Results are gathered until `enough` tasks are answered and the `required` ones are, too; then `inner` gets these,
    and sees no more. So an early stop of its own has no effect. Costs what `inner` costs.

    Args:
        inner: concludes.
        enough: how many answered tasks are enough; if None, the `required` ones are.
        required: ids of tasks without whose answers nothing is concluded.

    Raises:
        ConfigurationError: nothing is asked for, or `enough` is less than one.
    """
    if enough is None and not required:
        raise ConfigurationError("quorum() asks for nothing", hint="say enough=, required=, or both")
    if enough is not None and enough < 1:
        raise ConfigurationError(f"quorum(enough={enough}): at least 1 is needed")
    return _Quorum(inner, enough or 0, tuple([required] if isinstance(required, str) else required))


class _Quorum:
    def __init__(self, inner: Aggregator, enough: int, required: tuple[str, ...]) -> None:
        if hasattr(inner, "model_calls"):
            self.model_calls: int = inner.model_calls
        self._inner = inner
        self._enough = enough
        self._required = required

    async def __call__(self, question: str, results: AsyncIterator[TaskResult], ctx: RunContext) -> Conclusion | str:
        gathered: list[TaskResult] = []
        with anyio.CancelScope() as gathering:

            def planned() -> None:
                # That too little was planned is known only now; and perhaps no other result will come soon.
                if self._lost(gathered, ctx):
                    gathering.cancel()

            ctx.when_planned(planned)
            async for result in results:
                gathered.append(result)
                if self._reached(gathered) or self._lost(gathered, ctx):
                    break
        if not self._reached(gathered):
            raise QuorumNotReached(self._lacking(gathered, ctx), hint="raise the limits, or ask for less")
        return await self._inner(question, _Gathered(gathered), ctx)

    def _reached(self, gathered: list[TaskResult]) -> bool:
        answered = {each.id for each in gathered if each.answered}
        return len(answered) >= self._enough and answered.issuperset(self._required)

    def _lost(self, gathered: list[TaskResult], ctx: RunContext) -> bool:
        """Whether the quorum can no longer be reached, whatever comes."""
        lost = {each.id for each in gathered if not each.answered}
        if not lost.isdisjoint(self._required):
            return True
        planned = {task.id for task in ctx.planned}
        return ctx.plan_done and (len(planned - lost) < self._enough or not planned.issuperset(self._required))

    def _lacking(self, gathered: list[TaskResult], ctx: RunContext) -> str:
        came = {each.id: each for each in gathered}
        answered = sum(each.answered for each in gathered)
        said = []
        if answered < self._enough:
            said.append(f"{answered} of {len(ctx.planned)} tasks were answered, and {self._enough} are needed")
        for name in self._required:
            if name not in came:
                said.append(f"required task {name!r} gave no result")
            elif not came[name].answered:
                error = came[name].error
                said.append(f"required task {name!r}: {came[name].outcome if error is None else error.message}")
        return "; ".join(said)


class _Gathered:
    """A stream of what is there already."""

    def __init__(self, results: list[TaskResult]) -> None:
        self._results = iter(results)

    def __aiter__(self) -> _Gathered:
        return self

    async def __anext__(self) -> TaskResult:
        for result in self._results:
            return result
        raise StopAsyncIteration
