"""Intervals of 95 %: of the mean of scores, and of the difference of two means on the same questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

Z = NormalDist().inv_cdf(0.975)


class Interval(NamedTuple):
    """A value, and between which it lies with a confidence of 95 %; infinite where nothing is known of that."""

    value: float
    low: float
    high: float


def are_shares(scores: Sequence[float]) -> bool:
    """Return whether all scores are 0 or 1, so that their mean is the share of right answers."""
    return all(score in (0, 1) for score in scores)


def mean_interval(scores: Sequence[float]) -> Interval:
    """Return the mean of scores.

    The interval of a share is that of Wilson 1927 (https://doi.org/10.1080/01621459.1927.10502953), which holds for few
    questions, and for none or all right; that of other scores is Student's 1908 (https://doi.org/10.2307/2331554).
    """
    if not are_shares(scores):
        return _student(scores)
    n, right = len(scores), sum(scores)
    middle = (right + Z * Z / 2) / (n + Z * Z)
    half = Z / (n + Z * Z) * math.sqrt(right * (n - right) / n + Z * Z / 4)
    return Interval(right / n, max(middle - half, 0.0), min(middle + half, 1.0))


def paired_difference(new: Sequence[float], old: Sequence[float]) -> Interval:
    """Return how much more `new` is than `old` on the same questions, in the mean.

    The interval of a difference of shares is that of Newcombe 1998 (https://doi.org/10.1002/(SICI)1097-0258(19981130)
    17:22<2635::AID-SIM954>3.0.CO;2-C, method 10): of Wilson's two intervals, as far as the two agree. It holds for few
    questions, where the mean and its deviation say that two ways differ by nothing, for sure, if they happen to agree.
    That of other scores is Student's, of the differences.
    """
    if not (are_shares(new) and are_shares(old)):
        return _student([one - other for one, other in zip(new, old, strict=True)])
    first, second, alike = mean_interval(new), mean_interval(old), _correlation(new, old)
    down, up = first.value - first.low, first.high - first.value
    other_down, other_up = second.value - second.low, second.high - second.value
    difference = first.value - second.value
    return Interval(difference, difference - _side(down, other_up, alike), difference + _side(up, other_down, alike))


def _side(own: float, other: float, alike: float) -> float:
    return math.sqrt(max(0.0, own * own - 2 * alike * own * other + other * other))


def _correlation(new: Sequence[float], old: Sequence[float]) -> float:
    """Return the correlation of two series of 0 and 1, with Newcombe's correction for continuity above 0."""
    n, first, second = len(new), sum(new), sum(old)
    spread = math.sqrt(first * (n - first) * second * (n - second))
    if not spread:
        return 0.0
    both = sum(one * other for one, other in zip(new, old, strict=True))
    # n * both - first * second is the determinant of the table of both, either and neither.
    excess = n * both - first * second
    return (max(excess - n / 2, 0.0) if excess > 0 else excess) / spread


def _student(values: Sequence[float]) -> Interval:
    mean = fmean(values)
    # One value tells nothing of how they spread, and neither do a few equal ones.
    if len(set(values)) < 2:
        return Interval(mean, -math.inf, math.inf)
    half = _t(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def _t(freedom: int) -> float:
    """Return the quantile of Student's distribution (Abramowitz and Stegun 26.7.5; for one and two in closed form)."""
    if freedom <= 2:
        return math.tan(math.pi * 0.475) if freedom == 1 else 0.95 * math.sqrt(2 / (1 - 0.95**2))
    terms: tuple[float, ...] = (
        Z,
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return math.fsum(term / freedom**power for power, term in enumerate(terms))
