"""What planners, agents and aggregators give back, which anybody may have written: taken for what it should be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from ..errors import AggregationError, ContemplateError, PlanError, sole
from ..plan import Task
from ..result import Conclusion
from .protocols import Answer


def as_conclusion(returned: Conclusion | str) -> Conclusion:
    """What an aggregator returned.

    Raises:
        AggregationError: it is neither a conclusion nor a text.
    """
    if isinstance(returned, str):
        return Conclusion(text=returned)
    if not isinstance(returned, Conclusion):
        raise AggregationError(f"the aggregator returned {returned!r:.100}", hint="return a Conclusion, or a str")
    return returned


def as_answer(returned: Answer) -> Answer:
    """What an agent returned.

    Raises:
        TypeError: it is no answer.
    """
    if not isinstance(returned, Answer):
        raise TypeError(f"the agent returned {returned!r:.100}, which is no Answer")
    return returned


def failure_of(kind: type[ContemplateError], who: str, error: Exception) -> ContemplateError:
    """What the user is told of `error`, which somebody else's function raised."""
    cause = sole(error)
    if isinstance(cause, ContemplateError):
        return cause
    failure = kind(f"{who} raised {type(cause).__name__}: {cause}")
    failure.__cause__ = cause
    return failure


@asynccontextmanager
async def closing(planned: object) -> AsyncIterator[AsyncIterator[Task]]:
    """`planned`, closed at the end if it is a generator; the protocol asks for no more than an iterator.

    Raises:
        PlanError: it is no asynchronous iterator.
    """
    if not isinstance(planned, AsyncIterator):
        if isinstance(planned, Coroutine):
            planned.close()
        raise PlanError(
            f"the planner returned a {type(planned).__name__}, which is no asynchronous iterator",
            hint="write it as an async generator: `async def` with `yield`",
        )
    try:
        yield planned
    finally:
        if isinstance(planned, AsyncGenerator):
            await planned.aclose()
