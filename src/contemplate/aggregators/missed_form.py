"""What to do when a model misses the form that an aggregator asks it for: conclude with another aggregator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.protocols import Aggregator
from ..run.return_values import as_conclusion

OrElse = Literal["first", "vote", "synthesize"] | Aggregator

# Aggregators do not know each other: the package says which these names are.
NAMED: dict[str, Callable[[], Aggregator]] = {}


class FormMissed(Exception):
    """Raised when a model's answer has not the form it was asked for, after all repairs."""


def model_calls_of(or_else: OrElse) -> int:
    """Return how many model calls `or_else` may make: one, if it does not say, or that depends on the answers."""
    calls = getattr(_aggregator(or_else), "model_calls", 1)
    return calls if isinstance(calls, int) else 1


async def conclude_instead(
    or_else: OrElse, question: str, seen: Iterable[TaskResult], ctx: RunContext, missed: FormMissed
) -> Conclusion:
    """Conclude from the results `seen` with `or_else`, with a note; the conclusion is marked as incomplete.

    Raises:
        ContemplateError: `or_else` has no conclusion either.
    """
    name = or_else if isinstance(or_else, str) else type(or_else).__name__
    ctx.note(f"{missed}; concluded with or_else={name} instead")
    in_order = sorted(seen, key=lambda each: each.index)
    conclusion = as_conclusion(await _aggregator(or_else)(question, _Again(in_order), ctx))
    return conclusion.model_copy(update={"complete": False})


def _aggregator(or_else: OrElse) -> Aggregator:
    return NAMED[or_else]() if isinstance(or_else, str) else or_else


class _Again:
    """An async iterator over results that have arrived already."""

    def __init__(self, results: Iterable[TaskResult]) -> None:
        self._results: Iterator[TaskResult] = iter(results)

    def __aiter__(self) -> _Again:
        return self

    async def __anext__(self) -> TaskResult:
        for result in self._results:
            return result
        raise StopAsyncIteration
