"""A checker, as a user would write one: make 24 from four numbers, each used once."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def makes_24(numbers: str, expression: str) -> bool:
    """Whether `expression` uses each of `numbers`, such as "4 5 6 10", once, and equals 24."""
    if len(expression) > 200 or sorted(re.findall(r"\d+", expression)) != sorted(numbers.split()):
        return False
    try:
        return _value(ast.parse(expression, mode="eval").body) == 24
    except (SyntaxError, ValueError, ZeroDivisionError):
        return False


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int(number)):
            return Fraction(number)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case _:
            raise ValueError(ast.dump(node))
