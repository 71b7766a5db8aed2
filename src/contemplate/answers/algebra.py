r"""Exact values of expressions: rationals, square roots, pi, i and single letters, as a canonical sum of terms.

Expressions with equal values have the same canonical text, so that `\frac{2}{\sqrt{3}}` and `\frac{2\sqrt{3}}{3}` are
one answer; the pairwise equality test of a computer algebra system would not give a key. All work is bounded, because
the expression comes from a model: `10^{10^9}` has no value here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial, gcd, isqrt

MAX_BITS = 2_048
MAX_TERMS = 12
MAX_RADICAND = 10**9

Powers = tuple[tuple[str, int], ...]


class NoValueError(ValueError):
    """Raised if an expression has no exact value within the bounds of this module."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The symbolic factor of a term: the root of a square-free number, times powers of pi, i and letters."""

    radicand: int = 1
    powers: Powers = ()

    def __str__(self) -> str:
        root = [f"sqrt({self.radicand})"] if self.radicand != 1 else []
        return "*".join([*root, *(f"{name}^{power}" if power != 1 else name for name, power in self.powers)])


ONE = Unit()


class Value:
    """A sum of rational multiples of units. Immutable; `str` is its canonical form."""

    __slots__ = ("_terms",)

    def __init__(self, terms: dict[Unit, Fraction]) -> None:
        self._terms = {unit: factor for unit, factor in terms.items() if factor}
        if len(self._terms) > MAX_TERMS or any(_bits(*term) > MAX_BITS for term in self._terms.items()):
            raise NoValueError

    @classmethod
    def of(cls, number: int | Fraction) -> Value:
        """Return a rational number as a value."""
        return cls({ONE: Fraction(number)})

    @classmethod
    def symbol(cls, name: str) -> Value:
        """Return pi, i or a letter as a value."""
        return cls({Unit(powers=((name, 1),)): Fraction(1)})

    @property
    def rational(self) -> Fraction | None:
        """The value as a rational number; None if it is not rational."""
        return self._terms.get(ONE, Fraction(0)) if self._terms.keys() <= {ONE} else None

    def __str__(self) -> str:
        if self.rational is not None:
            return str(self.rational)
        parts = sorted((str(unit), factor) for unit, factor in self._terms.items())
        return "+".join(_term_text(unit, factor) for unit, factor in parts).replace("+-", "-")

    def __add__(self, other: Value) -> Value:
        terms = dict(self._terms)
        for unit, factor in other._terms.items():
            terms[unit] = terms.get(unit, Fraction(0)) + factor
        return Value(terms)

    def __neg__(self) -> Value:
        return Value({unit: -factor for unit, factor in self._terms.items()})

    def __mul__(self, other: Value) -> Value:
        terms: dict[Unit, Fraction] = {}
        for left, left_factor in self._terms.items():
            for right, right_factor in other._terms.items():
                unit, factor = _product(left, right)
                terms[unit] = terms.get(unit, Fraction(0)) + left_factor * right_factor * factor
        return Value(terms)

    def __truediv__(self, other: Value) -> Value:
        return self * other._inverse()

    def _inverse(self) -> Value:
        if len(self._terms) == 1:
            ((unit, factor),) = self._terms.items()
            powers, sign = _canonical((name, -power) for name, power in unit.powers)
            return Value({Unit(unit.radicand, powers): sign / (factor * unit.radicand)})
        if len(self._terms) == 2:
            (unit, factor), (other, other_factor) = self._terms.items()
            conjugate = Value({unit: factor, other: -other_factor})
            norm = self * conjugate
            if len(norm._terms) == 1:
                return conjugate * norm._inverse()
        raise NoValueError

    def power(self, exponent: Value) -> Value:
        """Return the power with an integer or half-integer exponent."""
        number = exponent.rational
        if number is None or number.denominator > 2 or abs(number.numerator) > MAX_BITS:
            raise NoValueError
        base = self if number.denominator == 1 else self.root()
        times = abs(number.numerator)
        result = Value.of(1)
        while times:
            result = result * base if times % 2 else result
            times //= 2
            base = base * base if times else base
        return result if number >= 0 else result._inverse()

    def root(self) -> Value:
        """Return the square root of a rational, or of a + b sqrt(c) if that is again a sum of roots."""
        number = self.rational
        if number is not None:
            return _root(number)
        if len(self._terms) != 2 or ONE not in self._terms or any(unit.powers for unit in self._terms):
            raise NoValueError
        ((unit, factor),) = ((unit, factor) for unit, factor in self._terms.items() if unit != ONE)
        whole = self._terms[ONE]
        distance = _root(whole**2 - factor**2 * unit.radicand).rational
        if whole <= 0 or distance is None:
            raise NoValueError
        larger, smaller = _root((whole + distance) / 2), _root((whole - distance) / 2)
        return larger + (smaller if factor > 0 else -smaller)

    def whole(self, most: int) -> int:
        """Return the value as an integer in 0...most."""
        number = self.rational
        if number is None or number.denominator != 1 or not 0 <= number <= most:
            raise NoValueError
        return int(number)

    def factorial(self) -> Value:
        """Return the factorial of an integer in 0...250."""
        return Value.of(factorial(self.whole(250)))

    def choose(self, other: Value) -> Value:
        """Return the binomial coefficient "self choose other"."""
        return Value.of(comb(self.whole(1_000), other.whole(1_000)))


def _term_text(unit: str, factor: Fraction) -> str:
    if abs(factor) == 1 and unit:
        return unit if factor == 1 else f"-{unit}"
    return f"{factor}*{unit}" if unit else str(factor)


def _bits(unit: Unit, factor: Fraction) -> int:
    return max(each.bit_length() for each in (factor.numerator, factor.denominator, unit.radicand))


def _product(left: Unit, right: Unit) -> tuple[Unit, Fraction]:
    common = gcd(left.radicand, right.radicand)
    powers, sign = _canonical((*left.powers, *right.powers))
    return Unit(left.radicand * right.radicand // common**2, powers), Fraction(sign * common)


def _canonical(powers: Iterable[tuple[str, int]]) -> tuple[Powers, int]:
    """Return the powers sorted and merged by name, with i at most once, and the sign from i^2 = -1."""
    summed: dict[str, int] = {}
    for name, power in powers:
        summed[name] = summed.get(name, 0) + power
    turns = summed.pop("i", 0) % 4
    if turns % 2:
        summed["i"] = 1
    return tuple(sorted((name, power) for name, power in summed.items() if power)), -1 if turns >= 2 else 1


def _root(number: Fraction) -> Value:
    if not number:
        return Value.of(0)
    inside = abs(number.numerator) * number.denominator
    square = _greatest_square(inside)
    root = Value({Unit(inside // square**2): Fraction(square, number.denominator)})
    return root * Value.symbol("i") if number < 0 else root


@lru_cache(maxsize=1024)
def _greatest_square(number: int) -> int:
    """Return the largest s such that s * s divides `number`."""
    if isqrt(number) ** 2 == number:
        return isqrt(number)
    if number > MAX_RADICAND:
        raise NoValueError
    square, divisor = 1, 2
    while divisor * divisor <= number:
        while number % (divisor * divisor) == 0:
            number //= divisor * divisor
            square *= divisor
        if number % divisor == 0:
            number //= divisor
        divisor += 1
    return square
