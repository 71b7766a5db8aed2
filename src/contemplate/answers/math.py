r"""Mathematical answers: exact rationals where they are numbers, normalised text where they are not."""

from __future__ import annotations

import re
from fractions import Fraction

from .markers import after_marker, last_boxed

MAX_KEY_CHARACTERS = 2_000
MAX_DIGITS = 400

_NUMBER = re.compile(r"(?:(?<![\w)])-)?\$?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:\s*/\s*\d+)?(?<=\d)")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LATEX_FRACTION = re.compile(r"(-?)\\frac\s*(?:\{([^{}]+)\}|(\d))\s*(?:\{([^{}]+)\}|(\d))")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|operatorname)\s*\{[^{}]*\}")
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)")
_DROPPED = ("\\left", "\\right", "\\!", "\\,", "\\;", "\\:", "$", "\\%", "%", "~", "^\\circ", "^{\\circ}")


def math(said: str) -> str | None:
    r"""The key of a mathematical answer.

    Read from the last `\boxed{...}`; else from what follows the last "answer is" or "Answer:"; else the last number
    in the text. A number becomes an exact fraction, so that "1,000", "1000.0" and `\frac{2000}{2}` are one answer;
    anything else is normalised as text. None if there is no number and no mark.
    """
    found = last_boxed(said)
    if found is None:
        found = after_marker(said)
        if found is not None:
            return _number_in(found) or _key(found)
        return _last_number(said)
    return _key(found)


def number(text: str) -> Fraction | None:
    """The exact value of `text` if all of it is a number: decimal, fraction or LaTeX fraction; else None."""
    clean = _clean(text)
    fraction = _LATEX_FRACTION.fullmatch(clean)
    if fraction is not None:
        sign, top, top_digit, bottom, bottom_digit = fraction.groups()
        value = _ratio(top or top_digit, bottom or bottom_digit)
        return -value if value is not None and sign else value
    top, slash, bottom = clean.partition("/")
    return _ratio(top, bottom) if slash else _plain(clean)


def _ratio(top: str, bottom: str) -> Fraction | None:
    over, under = _plain(top), _plain(bottom)
    return over / under if over is not None and under else None


def _plain(text: str) -> Fraction | None:
    text = text.strip()
    if len(text) > MAX_DIGITS or not _PLAIN.fullmatch(text):
        return None
    return Fraction(text)


def _key(found: str) -> str | None:
    value = number(found)
    if value is not None:
        return str(value)
    clean = _clean(found)
    # "x = 5" and "5" are one answer; "x = 5, y = 2" is another kind.
    left, equals, right = clean.rpartition("=")
    if equals and left.strip().isalpha() and len(left.strip()) <= 2:
        return _key(right)
    return re.sub(r"\s+", "", clean).rstrip(".").casefold()[:MAX_KEY_CHARACTERS] or None


def _clean(text: str) -> str:
    text = text[:MAX_KEY_CHARACTERS].strip().strip("*`").strip()
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\u2212", "-").replace("{,}", ",")
    for dropped in _DROPPED:
        text = text.replace(dropped, "")
    text = text.replace("\\(", "").replace("\\)", "").replace("\\[", "").replace("\\]", "")
    text = _TEXT.sub("", text)
    return _GROUPED.sub("", text).strip().rstrip(".").strip()


def _number_in(found: str) -> str | None:
    """The number of a short answer with words around it, such as "18 dollars"; None if it holds several."""
    value = number(found)
    if value is not None:
        return str(value)
    if "\\" in found or "=" in found or "(" in found:
        return None
    numbers = _numbers(found)
    return numbers[0] if len(numbers) == 1 else None


def _last_number(said: str) -> str | None:
    numbers = _numbers(said[-MAX_KEY_CHARACTERS:])
    return numbers[-1] if numbers else None


def _numbers(text: str) -> list[str]:
    text = text.replace("\u2212", "-")
    values = (number(each.group()) for each in _NUMBER.finditer(text))
    return [str(value) for value in values if value is not None]
