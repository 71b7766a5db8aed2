"""What a vote weighs, where not all of them count the same."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import ConfigurationError

# "Confidence: 85", "confidence = 0.85", "**Confidence**: 85 %", "Confidence: 8/10"
_STATED = re.compile(
    r"\bconfidence\b\**\s*(?:is\b|:|=)\s*\**\s*(\d{1,3}(?:\.\d{1,6})?|\.\d{1,6})\s*(%|/\s*(?:100?|5)\b)?", re.IGNORECASE
)


class Weights(Protocol):
    """Says what votes weigh: each one when it is in, and before that, at most."""

    def weigh(self, answer: Any, model: str) -> float:
        """The weight of an answer, its text or its typed value, from `model`; 0 is an abstention."""
        ...

    def heaviest(self, model: str | None) -> float:
        """The most that a vote from `model` can weigh; None is any model."""
        ...


def stated_confidence(said: object) -> float | None:
    """The confidence that a text states, from 0 to 1: the last "Confidence: 85", also as 0.85, 85 % or 8/10.

    Of a value, its field `confidence`. None where nothing is stated, or nothing that is between 0 and 1.
    """
    if not isinstance(said, str):
        found = said.get("confidence") if isinstance(said, Mapping) else getattr(said, "confidence", None)
        return _share(found, None) if isinstance(found, int | float) and not isinstance(found, bool) else None
    stated = _STATED.findall(said)
    return _share(float(stated[-1][0]), stated[-1][1]) if stated else None


def _share(number: float, unit: str | None) -> float | None:
    of = 100.0 if unit == "%" else float(unit.lstrip("/ ")) if unit else 100.0 if number > 1 else 1.0
    return number / of if 0 <= number <= of else None


def by_confidence(
    score: Callable[[Any], float | None] = stated_confidence, *, temperature: float = 0.5, highest: float = 1.0
) -> Weights:
    """Votes weigh what their confidence says: exp(score / temperature). An answer without a score weighs as score 0.

    CISC, Taubenfeld et al. 2025, https://arxiv.org/abs/2502.06233.

    Args:
        score: makes the confidence of an answer, of its text or typed value, from 0 to `highest`; None if it has none.
            If not given: the last "Confidence: ..." of a text, or the field `confidence` of a value.
        temperature: how much confidence counts; the smaller, the more. Tune it on questions whose answers you know.
        highest: the largest score there can be. The exact stop needs it.

    Raises:
        ConfigurationError: `temperature` or `highest` is not positive, or the heaviest vote is too large for a float.
    """
    if not (temperature > 0 and highest > 0):
        raise ConfigurationError(f"by_confidence({temperature=}, {highest=}): positive numbers are needed")
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

    def weigh(self, answer: Any, model: str) -> float:
        score = self._score(answer)
        if score is None:
            score = 0.0
        if not 0 <= score <= self._highest:
            raise ValueError(f"a score of {score} is not between 0 and highest={self._highest}")
        return self_assessed(score, temperature=self._temperature)

    def heaviest(self, model: str | None) -> float:
        return self._bound


def by_accuracy(accuracy: Mapping[str, float]) -> Weights:
    """Votes weigh what their model is known to be worth: the log-odds of its accuracy.

    Nitzan and Paroush, International Economic Review 23, 1982: the best weights for independent voters. A model that
    is right half of the time, or less, abstains; so does one that is not listed.

    Args:
        accuracy: for each model's name, how often it is right, measured on other questions as
            (right + 1) / (all + 2), so that it is neither 0 nor 1.

    Raises:
        ConfigurationError: an accuracy is not between 0 and 1, or none is above 1/2.
    """
    try:
        weights = {model: log_odds(known) for model, known in accuracy.items()}
    except ValueError as error:
        raise ConfigurationError(f"by_accuracy: {error}") from None
    if not any(weights.values()):
        raise ConfigurationError("by_accuracy: no model is right more than half of the time, so nobody has a vote")
    return _ByAccuracy(weights)


class _ByAccuracy:
    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights

    def weigh(self, answer: Any, model: str) -> float:
        return self._weights.get(model, 0.0)

    def heaviest(self, model: str | None) -> float:
        return max(self._weights.values()) if model is None else self._weights.get(model, 0.0)


def log_odds(accuracy: float) -> float:
    """The weight of a model that is right with this probability: log(p / (1 - p)), and 0 for p <= 1/2.

    With it, a vote among independent voters is right most often (Nitzan and Paroush,
    International Economic Review 23, 1982). Take the accuracy from other questions than those that are voted on, and as
    (right + 1) / (all + 2), so that it is neither 0 nor 1.

    Raises:
        ValueError: the accuracy is not between 0 and 1; 0 and 1 themselves have no finite odds.
    """
    if not 0 < accuracy < 1:
        raise ValueError(f"log_odds({accuracy}): an accuracy above 0 and below 1 is needed")
    return max(0.0, math.log(accuracy / (1 - accuracy)))


def self_assessed(confidence: float, *, temperature: float = 1.0) -> float:
    """The weight of an answer by the model's own confidence in it: exp(confidence / temperature).

    CISC, Taubenfeld et al. 2025, https://arxiv.org/abs/2502.06233, without the sum over all answers that it divides
    by: that changes no winner, and is not known before the last answer is in. The largest weight that a call can have
    is that of the largest confidence.

    Args:
        confidence: such as a verbal score, or the probability of "True" after "is this answer right?".
        temperature: how much confidence counts; the smaller, the more.

    Raises:
        ValueError: the temperature is not positive, or the weight is too large for a float.
    """
    if temperature <= 0:
        raise ValueError(f"self_assessed(temperature={temperature}): a positive number is needed")
    try:
        return math.exp(confidence / temperature)
    except OverflowError:
        raise ValueError(f"self_assessed({confidence}, temperature={temperature}): the weight is too large") from None
