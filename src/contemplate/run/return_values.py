"""Checks of what planners, agents and aggregators return or raise: they may be anybody's code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..errors import AggregationError, ContemplateError, PlanError, error_info, sole, validation_problems
from ..plan import Task
from ..result import Conclusion
from .output_type import OutputType
from .protocols import Answer, ParsedAnswer

_ANSWER = TypeAdapter(Answer)
_FIELDS = tuple(each.name for each in fields(Answer))
_values_of = attrgetter(*_FIELDS)


def as_conclusion(returned: object) -> Conclusion:
    """Return the conclusion that an aggregator returned, also as a string.

    Raises:
        AggregationError: it is neither a `Conclusion` nor a string, or a field of it has a wrong type.
    """
    if isinstance(returned, str):
        return Conclusion(text=returned)
    if not isinstance(returned, Conclusion):
        raise AggregationError(f"the aggregator returned {_shown(returned)}", hint="return a Conclusion, or a str")
    try:
        # `model_construct` and `model_copy` check nothing.
        return Conclusion.model_validate(vars(returned))
    except ValidationError as error:
        raise AggregationError(
            f"the aggregator returned a Conclusion that cannot be used: {validation_problems(error)}",
            hint="make it with Conclusion(...), which checks its fields",
        ) from None


def as_answer(returned: object, output: OutputType[Any] | None) -> Answer:
    """Return the answer that an agent returned, with a value of the type `output`, if that is given.

    Raises:
        TypeError: it is not an `Answer`, or a field of it has a wrong type.
        OutputError: its output does not fit the type.
    """
    if not isinstance(returned, Answer):
        raise TypeError(f"the agent returned {_shown(returned)}, which is not an Answer")
    try:
        answer = _ANSWER.validate_python(dict(zip(_FIELDS, _values_of(returned), strict=True)))
    except ValidationError as error:
        raise TypeError(f"the agent returned an Answer that cannot be used: {validation_problems(error)}") from None
    if output is None or answer.outcome != "answered" or isinstance(returned, ParsedAnswer):
        return answer
    return replace(answer, output=output.value_of(answer.output, answer.text))


def as_task(yielded: object) -> Task:
    """Return the task that a planner yielded.

    Raises:
        PlanError: it is not a `Task`, or a field of it has a wrong type.
    """
    if not isinstance(yielded, Task):
        raise PlanError(f"the planner yielded {_shown(yielded)}, which is not a Task", hint="yield a Task")
    try:
        return type(yielded).model_validate(vars(yielded))
    except ValidationError as error:
        raise PlanError(
            f"the planner yielded a Task that cannot be used: {validation_problems(error)}",
            hint="make it with Task(...), which checks its fields",
        ) from None


def _shown(value: object) -> str:
    try:
        return f"{value!r:.100}"
    except Exception:
        return f"a {type(value).__name__}"


def as_contemplate_error(kind: type[ContemplateError], who: str, error: Exception) -> ContemplateError:
    """Return `error`, which a user's function raised, if it is a `ContemplateError`; else wrap it in a `kind`."""
    cause = sole(error)
    if isinstance(cause, ContemplateError):
        return cause
    failure = kind(f"{who} raised {type(cause).__name__}: {error_info(cause).message}")
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
