"""The keys by which answers are counted: equal keys are equal answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import answers
from ..answers.equivalent_symbols import unwrapped
from ..answers.markers import marked_answer
from ..errors import AggregationError
from ..result import TaskResult
from .context import RunContext

Key = Callable[[Any], object]


def key_of(result: TaskResult, key: Key | None, ctx: RunContext) -> str | None:
    """Return the key of an answer; None if there is no answer, or `key` says that it is an abstention.

    Args:
        result: the result of a task.
        key: a key function of the answer's text, or of its value if the run has an output type; if None,
            `answers.final` for text, and `answers.typed` for values.
        ctx: the run.

    Raises:
        AggregationError: the key function raised an error, or is async.
    """
    if not result.answered:
        return None
    value = value_of(result, ctx)
    function: Key = key or (answers.final if value is result.text else answers.typed)
    try:
        found = function(value)
    except Exception as error:
        raise AggregationError(
            f"the key function raised {type(error).__name__} on the answer of task {result.id!r}: {error}",
            hint="return None for an answer that cannot be parsed",
        ) from error
    if inspect.iscoroutine(found):
        # Each would be a key of its own.
        found.close()
        raise AggregationError("the key function is async", hint="a plain function of an answer")
    return found if found is None or isinstance(found, str) else answers.typed(found)


def value_of(result: TaskResult, ctx: RunContext) -> object:
    """Return the answer for keys and weights: its text, or its value if the run has an output type."""
    if ctx.output is not None and result.task.kind != "part":
        return result.output
    return result.text


def bare_answer(result: TaskResult, ctx: RunContext) -> str:
    """Return the answer of a result in its own words, without its reasons."""
    marked = None if ctx.output is not None else marked_answer(result.text)
    return unwrapped(marked or result.text)
