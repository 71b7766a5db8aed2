"""What a vote weighs, where not all of them count the same."""

from __future__ import annotations

import math


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
