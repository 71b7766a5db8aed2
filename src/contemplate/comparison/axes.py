"""Axes of a plot: from values to places, and the round values that are written beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TICKS = 5
# Where the largest value is so many times the smallest, each tenfold step gets the same room.
WIDE = 8
# So many powers of ten with 1, 2 and 5 times each; and so many by themselves. More texts would not fit.
MOST_DECADES = 2.5
MOST_POWERS = 8
_STEPS = (1, 2, 5)
# What differs by so much of its size does so by the errors of its sum, and would be written alike.
ALIKE = 1e-9


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from one value to another one, drawn from one place to another one.

    Args:
        ticks: the round values; the first and the last are its ends.
        logarithmic: whether equal steps are equal ratios.
        start, end: its places, in the units of the picture.
    """

    ticks: tuple[float, ...]
    logarithmic: bool
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return where a value is; one beyond the ends is at the end."""
        low, high, at = (self._scaled(each) for each in (self.ticks[0], self.ticks[-1], value))
        share = (at - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log(max(value, self.ticks[0])) if self.logarithmic else value


def cost_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis for costs: from 0, or with equal ratios if the values are far apart."""
    low, high = min(values), max(values)
    if low > 0 and high / low >= WIDE:
        return Axis(_round_ratios(low, high), True, start, end)
    return Axis(_round_steps(0.0, high or 1.0), False, start, end)


def score_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis for scores, no longer than it must be."""
    low, high = min(values), max(values)
    largest = max(1.0, abs(low), abs(high))
    return Axis(_round_steps(low, low + largest if high - low <= ALIKE * largest else high), False, start, end)


def _round_steps(low: float, high: float) -> tuple[float, ...]:
    """Return multiples of 1, 2 or 5 times a power of ten, from one that is not above `low` to one not below `high`."""
    rough = (high - low) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(each * power for each in (*_STEPS, 10) if each * power >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return tuple(float(f"{number * step:.12g}") for number in range(first, last + 1))


def _round_ratios(low: float, high: float) -> tuple[float, ...]:
    """Return 1, 2 and 5 times powers of ten in the same way, or only some of the powers where there would be many."""
    breadth = math.log10(high / low)
    steps, stride = _STEPS if breadth <= MOST_DECADES else (1,), math.ceil(breadth / MOST_POWERS)
    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1 + stride, stride)
    numbers = [step * 10.0**power for power in powers for step in steps]
    first = max(place for place, number in enumerate(numbers) if number <= low * 1.001)
    last = min(place for place, number in enumerate(numbers) if number >= high * 0.999)
    return tuple(numbers[first : last + 1])
