"""Weights of votes, by confidence or by accuracy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from ..arguments import checked_arguments
from ..errors import ConfigurationError
from ..result import TaskResult
from ..run.context import RunContext

# "Confidence: 85", "confidence = 0.85", "**Confidence**: 85 %", "Confidence: 8/10" or "8 out of 10", "confidence: 0,85"
_STATED = re.compile(
    r"\bconfidence\b\**\s*(?:is\b|:|=)\s*\**\s*(\d{1,3}(?:[.,]\d{1,20})?|\.\d{1,20})(?!\d|[.,]\d)"
    r"\s*(%|\(?(?:/|out of\b)\s*(?:100?|5)\b)?",
    re.IGNORECASE,
)


class Weights(Protocol):
    """The weights of votes, and their upper bounds."""

    def weigh(self, answer: Any, result: TaskResult) -> float:
        """Return the weight of an answer (text or typed value); 0 is an abstention.

        `result` is all that is known of it: its model, log-probabilities, metadata and messages.
        """
        ...

    def heaviest(self, model: str | None) -> float:
        """Return the maximum weight of a vote from `model`; None means any model."""
        ...


class Selection(Protocol):
    """Which answers of one vote count. Each result is counted when it is returned here."""

    def add(self, result: TaskResult) -> Sequence[TaskResult]:
        """Add a result, and return those that can be counted now."""
        ...

    def rest(self) -> Sequence[TaskResult]:
        """Return all results that were held back: no more are waited for."""
        ...

    def counts(self, result: TaskResult) -> bool:
        """Return whether the answer counts; else it is an abstention."""
        ...

    def tell(self) -> None:
        """Note which answers did not count."""
        ...


@runtime_checkable
class Selective(Protocol):
    """Weights of votes of which some do not count at all, as others show."""

    def selection(self, ctx: RunContext, number_of: Callable[[str], int | None]) -> Selection:
        """Return the selection for one vote; `number_of` is the place of a task in the order of launch."""
        ...


def stated_confidence(answer: object) -> float | None:
    """Return the confidence, from 0 to 1, that a text states: the last "Confidence: 85", or 0.85, 85 % or 8/10.

    For a value, its field `confidence`. A whole number is per cent, so that "Confidence: 1" is hardly any; a number
    with decimals is a share if it is at most 1. None if there is none, or it is out of range.
    """
    if not isinstance(answer, str):
        found = answer.get("confidence") if isinstance(answer, Mapping) else getattr(answer, "confidence", None)
        return _share(found, "") if isinstance(found, int | float) and not isinstance(found, bool) else None
    stated = _STATED.findall(answer)
    if not stated:
        return None
    number, unit = stated[-1]
    number = number.replace(",", ".")
    return _share(float(number) if "." in number else int(number), unit)


def _share(number: float, unit: str) -> float | None:
    if unit and unit != "%":
        scale = float(unit.replace("/", " ").split()[-1])
    else:
        scale = 100.0 if unit or isinstance(number, int) or number > 1 else 1.0
    return number / scale if 0 <= number <= scale else None


@checked_arguments
def by_confidence(
    score: Callable[[Any], float | None] = stated_confidence, *, temperature: float = 0.5, highest: float = 1.0
) -> Weights:
    """Weigh votes by confidence: exp(score / temperature). An answer without a score has score 0.

    CISC, Taubenfeld et al. 2025, https://arxiv.org/abs/2502.06233.

    Args:
        score: returns the confidence of an answer (text or typed value), from 0 to `highest`; None if it has none.
            The default reads the last "Confidence: ..." of a text, or the field `confidence` of a value.
        temperature: the smaller, the more confidence counts. Tune it on questions with known answers.
        highest: maximum score, which the exact stop needs.

    Raises:
        ConfigurationError: `temperature` or `highest` is not positive, or the maximum weight is too large for a float.
    """
    if not (temperature > 0 and highest > 0):
        raise ConfigurationError(f"by_confidence({temperature=}, {highest=}): both must be positive")
    try:
        bound = self_assessed(highest, temperature=temperature)
    except ValueError as error:
        raise ConfigurationError(f"by_confidence: {error}", hint="raise the temperature") from None
    return _ByConfidence(score, temperature, highest, bound)


class _ByConfidence:
    def __init__(self, score: Callable[[Any], float | None], temperature: float, highest: float, bound: float) -> None:
        self._score = score
        self._temperature = temperature
        self._highest = highest
        self._bound = bound

    def weigh(self, answer: Any, result: TaskResult) -> float:
        score = self._score(answer)
        if score is None:
            score = 0.0
        if not 0 <= score <= self._highest:
            raise ValueError(f"a score of {score} is not between 0 and highest={self._highest}")
        return self_assessed(score, temperature=self._temperature)

    def heaviest(self, model: str | None) -> float:
        return self._bound


@checked_arguments
def by_accuracy(accuracy: Mapping[str, float]) -> Weights:
    """Weigh votes by the log-odds of their model's accuracy.

    Nitzan and Paroush, International Economic Review 23, 1982: the optimal weights for independent voters. A model with
    an accuracy of at most 1/2 abstains; so does a model that is not listed.

    Args:
        accuracy: accuracy of each model, by name, measured on other questions as (right + 1) / (all + 2), so that it is
            neither 0 nor 1.

    Raises:
        ConfigurationError: an accuracy is not between 0 and 1, or none is above 1/2.
    """
    try:
        weights = {model: log_odds(each) for model, each in accuracy.items()}
    except ValueError as error:
        raise ConfigurationError(f"by_accuracy: {error}") from None
    if not any(weights.values()):
        raise ConfigurationError("by_accuracy: no model has an accuracy above 1/2, so all of them abstain")
    return _ByAccuracy(weights)


class _ByAccuracy:
    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights

    def weigh(self, answer: Any, result: TaskResult) -> float:
        return self._weights.get(result.model or "", 0.0)

    def heaviest(self, model: str | None) -> float:
        return max(self._weights.values()) if model is None else self._weights.get(model, 0.0)


def log_odds(accuracy: float) -> float:
    """Return the optimal weight of an independent voter with this accuracy: log(p / (1 - p)), and 0 for p <= 1/2.

    Nitzan and Paroush, International Economic Review 23, 1982. Measure the accuracy on other questions than those voted
    on, as (right + 1) / (all + 2), so that it is neither 0 nor 1.

    Raises:
        ValueError: the accuracy is not strictly between 0 and 1, so that its odds are not finite.
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"log_odds({accuracy}): accuracy must be above 0 and below 1")
    return max(0.0, math.log(accuracy / (1 - accuracy)))


def self_assessed(confidence: float, *, temperature: float = 1.0) -> float:
    """Return the weight of an answer by the model's own confidence: exp(confidence / temperature).

    CISC, Taubenfeld et al. 2025, https://arxiv.org/abs/2502.06233, without its normalisation over all answers, which
    does not change the winner and is unknown until the last answer. It increases with the confidence.

    Args:
        confidence: such as a verbal score, or the probability of "True" after "is this answer right?".
        temperature: the smaller, the more confidence counts.

    Raises:
        ValueError: the temperature is not positive, or the weight is too large for a float.
    """
    if temperature <= 0:
        raise ValueError(f"self_assessed({temperature=}): temperature must be positive")
    try:
        return math.exp(confidence / temperature)
    except OverflowError:
        raise ValueError(f"self_assessed({confidence}, temperature={temperature}): the weight is too large") from None
