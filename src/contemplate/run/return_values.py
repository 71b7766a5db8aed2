"""Checks of what planners, agents and aggregators return or raise: they may be anybody's code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from ..errors import AggregationError, ContemplateError, PlanError, sole
from ..plan import Task
from ..result import Conclusion
from .protocols import Answer


def as_conclusion(returned: Conclusion | str) -> Conclusion:
    """Return the conclusion that an aggregator returned, also as a string.

    Raises:
        AggregationError: it is neither a `Conclusion` nor a string.
    """
    if isinstance(returned, str):
        return Conclusion(text=returned)
    if not isinstance(returned, Conclusion):
        raise AggregationError(f"the aggregator returned {returned!r:.100}", hint="return a Conclusion, or a str")
    return returned


def as_answer(returned: Answer) -> Answer:
    """Return the answer that an agent returned.

    Raises:
        TypeError: it is not an `Answer`.
    """
    if not isinstance(returned, Answer):
        raise TypeError(f"the agent returned {returned!r:.100}, which is not an Answer")
    return returned


def as_contemplate_error(kind: type[ContemplateError], who: str, error: Exception) -> ContemplateError:
    """Return `error`, which a user's function raised, if it is a `ContemplateError`; else wrap it in a `kind`."""
    cause = sole(error)
    if isinstance(cause, ContemplateError):
        return cause
    failure = kind(f"{who} raised {type(cause).__name__}: {cause}")
    failure.__cause__ = cause
    return failure


@asynccontextmanager
async def closing_planner(planned: object) -> AsyncIterator[AsyncIterator[Task]]:
    """Yield `planned`, and close it at the end if it is a generator; the protocol requires only an iterator.

    Raises:
        PlanError: it is not an async iterator.
    """
    if not isinstance(planned, AsyncIterator):
        if isinstance(planned, Coroutine):
            planned.close()
        raise PlanError(
            f"the planner returned a {type(planned).__name__}, which is not an async iterator",
            hint="write it as an async generator: `async def` with `yield`",
        )
    try:
        yield planned
    finally:
        if isinstance(planned, AsyncGenerator):
            await planned.aclose()
