"""Intervals: against published figures, and by how often they hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contemplate.comparison.intervals import Interval, mean_interval, paired_difference

PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40)
GRADES = st.lists(st.floats(-10, 10), min_size=2, max_size=20)


def table(both: int, new: int, old: int, neither: int) -> tuple[list[float], list[float]]:
    """So many questions that both, only one, only the other, and neither have right."""
    return [1.0] * (both + new) + [0.0] * (old + neither), [1.0] * both + [0.0] * new + [1.0] * old + [0.0] * neither


def tables(n: int) -> Iterator[tuple[int, int, int, int]]:
    for both in range(n + 1):
        for new in range(n + 1 - both):
            for old in range(n + 1 - both - new):
                yield both, new, old, n - both - new - old


@pytest.mark.parametrize(
    ("cells", "low", "high"), [((36, 14, 0, 0), 0.1528, 0.4167), ((20, 12, 2, 16), 0.0562, 0.3292)]
)
def test_differences_are_those_that_newcombe_gives(cells: tuple[int, int, int, int], low: float, high: float) -> None:
    found = paired_difference(*table(*cells))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    "chances", [(0.4, 0.1, 0.1, 0.4), (0.25, 0.25, 0.25, 0.25), (0.6, 0.2, 0.05, 0.15), (0.8, 0.1, 0.05, 0.05)]
)
def test_differences_of_twelve_questions_hold_as_often_as_they_say(chances: Sequence[float]) -> None:
    covered = 0.0
    for cells in tables(12):
        ways = math.factorial(12) / math.prod(map(math.factorial, cells))
        found = paired_difference(*table(*cells))
        if found.low <= chances[1] - chances[2] <= found.high:
            covered += ways * math.prod(chance**cell for chance, cell in zip(chances, cells, strict=True))
    assert 0.93 <= covered <= 1


@given(PAIRS)
def test_a_difference_lies_in_its_interval_and_has_a_mirror_image(pairs: list[tuple[float, float]]) -> None:
    new, old = [each for each, _ in pairs], [each for _, each in pairs]
    found, other = paired_difference(new, old), paired_difference(old, new)
    assert -1 - 1e-9 <= found.low <= found.value <= found.high <= 1 + 1e-9
    assert other == pytest.approx((-found.value, -found.high, -found.low), abs=1e-9)
    assert found.low < found.high


def test_ways_that_agree_on_few_questions_are_not_equal_for_sure() -> None:
    found = paired_difference([1.0] * 5, [1.0] * 5)
    assert found.value == 0
    assert found.low < -0.2
    assert found.high > 0.2


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert mean_interval([1.0] * 100 + [0.0] * 100) == pytest.approx((0.5, 0.4314, 0.5686), abs=1e-4)
    for n in range(1, 50):
        assert 0 <= mean_interval([0.0] * n).low < 1e-12
        assert 1 - 1e-12 < mean_interval([1.0] * n).high <= 1
    assert mean_interval([0.0] * 20) == pytest.approx((0, 0, 0.1611), abs=1e-4)


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.7062), (3, 4.3027), (4, 3.1824), (11, 2.2281), (31, 2.0423)])
def test_the_interval_of_grades_is_students(n: int, quantile: float) -> None:
    # Half of them 2 and half 4, or one more of the first: of known deviation.
    grades = [2.0 + 2 * (place % 2) for place in range(n)]
    mean = sum(grades) / n
    deviation = math.sqrt(sum((each - mean) ** 2 for each in grades) / (n - 1))
    found = mean_interval(grades)
    assert (found.high - found.low) / 2 == pytest.approx(quantile * deviation / math.sqrt(n), rel=2e-3)
    assert quantile > NormalDist().inv_cdf(0.975)


@given(GRADES)
def test_the_difference_of_grades_is_that_of_their_means(grades: list[float]) -> None:
    found = paired_difference([each + 0.5 for each in grades], grades)
    assert found.value == pytest.approx(0.5, abs=1e-9)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("n", [1, 2, 20])
def test_equal_grades_say_nothing_of_others(n: int) -> None:
    assert mean_interval([0.25] * n) == Interval(0.25, -math.inf, math.inf)
    assert paired_difference([0.5] * n, [0.25] * n) == Interval(0.25, -math.inf, math.inf)
