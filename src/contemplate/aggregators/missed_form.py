"""What to do when a model misses the form that an aggregator asks it for: conclude with another aggregator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from ..models import Model
from ..result import Conclusion, TaskResult
from ..run.context import RunContext
from ..run.protocols import Aggregator, models_of, more_tasks, most_model_calls, subagent_settings
from ..run.return_values import as_conclusion
from ..settings import ModelSettings

OrElse = Literal["first", "vote", "synthesize"] | Aggregator

# Aggregators do not know each other: the package says which these names are.
NAMED: dict[str, Callable[[], Aggregator]] = {}


class FormMissed(Exception):
    """Raised when a model's answer has not the form it was asked for, after all repairs."""


class WithFallback:
    """The base of an aggregator that another one concludes for, if a model misses its form.

    Args:
        or_else: the other one; the first answer or a synthesis, as the results are, if None.
        model: the model of its own calls; the run's if None.
    """

    def __init__(self, or_else: OrElse | None, model: str | Model | None) -> None:
        self._or_else = or_else
        self._model = model

    @property
    def _dearest(self) -> Aggregator:
        return _aggregator(self._or_else or "synthesize")

    @property
    def models(self) -> tuple[str | Model | None, ...]:
        """The models of the calls of both."""
        return (self._model, *models_of(self._dearest))

    @property
    def more_tasks(self) -> int:
        """How many tasks the other one may add to a run."""
        return more_tasks(self._dearest)

    @property
    def subagent_settings(self) -> ModelSettings | None:
        """What the other one needs for the subagents' calls."""
        return subagent_settings(self._dearest)

    def calls_after(self, calls: int, tasks: int) -> int | None:
        """Return how many calls the two make at most from so many tasks, of which `calls` are the first one's."""
        instead = most_model_calls(self._dearest, tasks)
        return None if instead is None else calls + instead

    async def conclude_instead(
        self, question: str, seen: Sequence[TaskResult], ctx: RunContext, missed: FormMissed
    ) -> Conclusion:
        """Conclude from the results `seen` with the other one, with a note; the conclusion is marked as incomplete.

        Raises:
            ContemplateError: it has no conclusion either.
        """
        parts = any(each.task.kind == "part" for each in seen)
        or_else = self._or_else or ("synthesize" if parts else "first")
        name = or_else if isinstance(or_else, str) else _name_of(or_else)
        ctx.note(f"{missed}; concluded with or_else={name} instead")
        in_order = sorted(seen, key=lambda each: each.index)
        conclusion = as_conclusion(await _aggregator(or_else)(question, _Again(in_order), ctx))
        return conclusion.model_copy(update={"complete": False})


def _aggregator(or_else: OrElse) -> Aggregator:
    return NAMED[or_else]() if isinstance(or_else, str) else or_else


def _name_of(aggregator: Aggregator) -> str:
    return str(getattr(aggregator, "__name__", type(aggregator).__name__.lstrip("_").lower()))


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
