"""How a result is scored: 0 or 1 for wrong and right, or any other number, of which more is better."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, SupportsFloat

from .. import answers
from ..batch.items import BatchItem
from ..errors import ConfigurationError
from ..redaction import redact
from ..result import RunResult
from ..run.answer_keys import Key
from .examples import expected_of

Score = bool | float
Metric = Callable[[RunResult[Any], Any], Score | Awaitable[Score]]


def equal_answers(key: Key | None) -> Metric:
    """Return the metric that is 1 where the output has the key of the expected answer, and 0 elsewhere.

    Args:
        key: canonical key of an answer, as for `aggregators.vote`; if None, `answers.final` for text, and
            `answers.typed` for values of an output type.
    """

    def metric(result: RunResult[Any], expected: object) -> bool:
        found = _key(key, result.output)
        return found is not None and found == _expected_key(key, result.output, expected)

    return metric


def check_expected(items: Sequence[BatchItem], key: Key | None) -> None:
    """Check that each question has an answer that `equal_answers` can compare with.

    Raises:
        ConfigurationError: one has none, or one without a key.
    """
    for item in items:
        expected = expected_of(item)
        if expected is None:
            raise ConfigurationError(
                f"{item!r}: no answer is expected of it", hint="Example(question, expected), or compare(metric=...)"
            )
        if isinstance(expected, str) and _checked_key(key, item, expected) is None:
            raise ConfigurationError(
                f"{item!r}: the answer that is expected has no key", hint="compare(key=...) or compare(metric=...)"
            )


async def score_of(metric: Metric, result: RunResult[Any], expected: object) -> float:
    """Return what the metric gives for a result.

    Raises:
        ConfigurationError: it gave no number.
        Exception: what the metric raised.
    """
    score = metric(result, expected)
    if inspect.isawaitable(score):
        score = await score
    # Numbers of NumPy and the like are no `int` or `float`.
    number = float(score) if isinstance(score, SupportsFloat) else math.nan
    if not math.isfinite(number):
        raise ConfigurationError(f"it returned {score!r:.80}", hint="return True, False or a finite number")
    return number


def _checked_key(key: Key | None, item: BatchItem, expected: str) -> object:
    try:
        return _key(key, expected)
    except Exception as error:
        said = redact(f"{type(error).__name__}: {error}")
        raise ConfigurationError(
            f"{item!r}: compare(key=...) fails on the answer that is expected: {said}", hint="return None for no key"
        ) from error


def _key(key: Key | None, value: object) -> object:
    if key is not None:
        return key(value)
    return answers.final(value) if isinstance(value, str) else answers.typed(value)


def _expected_key(key: Key | None, output: object, expected: object) -> object:
    # A file says 42 where the answer is a text.
    return _key(key, str(expected) if isinstance(output, str) else expected)
