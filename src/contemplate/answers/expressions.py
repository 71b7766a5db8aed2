"""Parser of expressions, in LaTeX or plain notation, to exact values."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from .algebra import NoValueError, Value

MAX_CHARACTERS = 400
MAX_DEPTH = 24

_TOKEN = re.compile(r"\s*(\\[A-Za-z]+|\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3}(?!\w))?|\.\d+|\*\*|[A-Za-z]+|[-+*/^!(){}\[\]√])")
# "\frac12" is 1/2: without braces, LaTeX takes one digit per argument.
_BARE_FRACTION = re.compile(r"\\(frac|binom)\s*(\d|\{[^{}]*\})\s*(\d|(?=\{))")
_MIXED = re.compile(r"(?<![\w.^}])(\d+)(?:\s+(\d+)\s*/\s*(\d+)(?![\d.])|\s*\\frac\s*\{(\d+)\}\s*\{(\d+)\})")
_SUMS = ("+", "-")
_TIMES = ("*", r"\times", r"\cdot")
_OVER = ("/", r"\div")
_POWERS = ("^", "**")
_OPENED = {"(": ")", "{": "}"}


def evaluate(text: str) -> Value:
    r"""Return the exact value of all of `text`, such as `\frac{3}{2}`, `2^{10} - 1`, `1 1/2` or `3+2\sqrt{2}`.

    Raises:
        NoValueError: it is not an expression, or has no exact value, or is out of bounds.
    """
    if len(text) > MAX_CHARACTERS:
        raise NoValueError
    return _Parser(_tokens(_MIXED.sub(_mixed_as_sum, _BARE_FRACTION.sub(_with_braces, text)))).read()


def _with_braces(found: re.Match[str]) -> str:
    name, top, bottom = found.groups()
    return f"\\{name}" + "".join(f"{{{each}}}" if each.isdigit() else each for each in (top, bottom))


def _mixed_as_sum(found: re.Match[str]) -> str:
    whole, over, under, latex_over, latex_under = found.groups()
    return f"({whole}+({over or latex_over}/{under or latex_under}))"


def _tokens(text: str) -> list[str]:
    tokens, place, text = [], 0, text.strip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise NoValueError
        tokens.append(found.group(1))
        place = found.end()
    return tokens


class _Parser:
    """A recursive-descent parser; unknown tokens raise NoValueError."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [*tokens, ""]
        self._place = 0
        self._depth = 0
        self._named: dict[str, Callable[[], Value]] = {
            r"\frac": lambda: self._atom() / self._atom(),
            r"\binom": lambda: self._atom().choose(self._atom()),
            r"\sqrt": lambda: self._atom().root(),
            "sqrt": self._bare_root,
            "√": self._bare_root,
            r"\pi": lambda: Value.symbol("pi"),
            "pi": lambda: Value.symbol("pi"),
        }

    def read(self) -> Value:
        value = self._sum()
        if self._next():
            raise NoValueError
        return value

    def _next(self) -> str:
        return self._tokens[self._place]

    def _take(self, *wanted: str) -> str:
        """Consume and return the next token if it is one of `wanted`; else return an empty string."""
        token = self._next()
        if token not in wanted:
            return ""
        self._place += 1
        return token

    def _sum(self) -> Value:
        value = self._product()
        while sign := self._take(*_SUMS):
            term = self._product()
            value = value + (-term if sign == "-" else term)
        return value

    def _product(self) -> Value:
        if sign := self._take(*_SUMS):
            value = self._power()
            value = -value if sign == "-" else value
        else:
            value = self._power()
        divided = False
        while True:
            if self._take(*_TIMES):
                value, divided = value * self._signed(), False
            elif self._take(*_OVER):
                value, divided = value / self._signed(), True
            elif self._begins_factor():
                if divided:
                    # "1/2x" is read as x/2 by some and as 1/(2x) by others.
                    raise NoValueError
                value = value * self._power()
            else:
                return value

    def _signed(self) -> Value:
        return -self._power() if self._take("-") else self._power()

    def _begins_factor(self) -> bool:
        """Return whether an implicit factor follows, as in `2x`; "5 6" and "f(3)" are not products."""
        token, before = self._next(), self._tokens[self._place - 1]
        return token in self._named or token.isalpha() or (token in _OPENED and not before.isalpha())

    def _power(self) -> Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NoValueError
        value = self._atom()
        while self._take("!"):
            value = value.factorial()
        if self._take(*_POWERS):
            negative = self._take("-")
            exponent = self._power()
            value = value.power(-exponent if negative else exponent)
        self._depth -= 1
        return value

    def _bare_root(self) -> Value:
        """Return the root of what follows; without brackets, "√2x" and "√3/5" have two readings."""
        enclosed = self._next() in _OPENED
        value = self._atom().root()
        if not enclosed and (self._next() in ("!", *_OVER, *_POWERS) or self._begins_factor()):
            raise NoValueError
        return value

    def _atom(self) -> Value:
        token = self._next()
        self._place += 1
        if token in _OPENED:
            value = self._sum()
            if not self._take(_OPENED[token]):
                raise NoValueError
            return value
        if token[:1].isdigit() or token[:1] == ".":
            return Value.of(Fraction(token))
        named = self._named.get(token)
        if named is not None:
            return named()
        if len(token) == 1 and token.isalpha():
            return Value.symbol(token)
        raise NoValueError
