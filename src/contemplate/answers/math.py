"""Canonical keys of mathematical answers: exact values if possible, else normalised text."""

from __future__ import annotations

import re
from collections import deque
from fractions import Fraction

from .algebra import Value
from .latex import plain
from .markers import after_marker, last_boxed, tail
from .numbers import value_of
from .text import shortened, words_of

MAX_CHARACTERS = 2_000

_DECIMAL = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3}(?!\w))?"
_SIGN = r"(?:(?<![\w)])[-\u2212])?"
_LATEX_FRACTION = r"\\[dt]?frac\s*\{-?\d+\}\s*\{\d+\}"
_NUMBER = re.compile(
    rf"{_SIGN}\$?(?:\d* ?{_LATEX_FRACTION}|\d{{1,3}} \d{{1,2}}/\d{{1,2}}(?![\d/])|{_DECIMAL}(?:\s*/\s*\d+)?)"
)
_NUMERAL = re.compile(
    r"[-+]?\s*(?:D(?:\s*/\s*-?D)?|\d+\s+\d+/\d+|(?:\d+\s*)?\\frac\s*(?:\{-?D\}|\d)\s*(?:\{-?D\}|\d))".replace(
        "D", r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
    )
)
_SENTENCE_END = re.compile(r"[.;!?]\s")
_NAMED = re.compile(r"\s*(?:([A-Za-z]{1,2})\s*=(?!=))?(.*)", re.DOTALL)
_BRACKETED = re.compile(r"(\\?[(\[{])(.*)(\\?[)\]}])", re.DOTALL)
_DATE = re.compile(r"\d{1,4}-\d{1,2}-\d{1,4}")
# What changes a number from before it, and from behind; other words leave it alone. What must be "at least 9" is 9.
_CHANGE_BEFORE = frozenset(
    (
        *("not", "never", "without", "minus", "negative", "plus", "or", "over", "under", "above", "below", "beyond"),
        *("exceeding", "than", "half", "double", "twice"),
    )
)
_CHANGE_BEHIND = frozenset(
    (
        *("hundred", "thousand", "million", "billion", "trillion", "dozen", "score", "squared", "cubed", "or"),
        *("am", "pm", "bc", "bce", "ad"),
    )
)
_AROUND = "()[].,;:?*\"'\u00a3\u20ac\u00a5\u2248"


def math(said: str) -> str | None:
    r"""Return the key of a mathematical answer.

    The answer is the last `\boxed{...}`, else the text after the last "answer is" or "Answer:", else the last number.
    The key is its exact value, so that "1,000", "1000.0" and `\frac{2000}{2}` are one answer, and so are
    `\frac{2}{\sqrt{3}}` and `\frac{2\sqrt{3}}{3}`. Units are ignored. An answer without a value is compared as text.
    None if there is neither a number nor a marker.
    """
    found = last_boxed(said)
    if found is not None:
        return expression(found)
    found = after_marker(said)
    return _last_number(said) if found is None else expression(_SENTENCE_END.split(found, 1)[0])


def _numeral(clean: str) -> Fraction | None:
    value = _value(clean) if _NUMERAL.fullmatch(clean) else None
    return None if value is None else value.rational


def _value(clean: str) -> Value | None:
    return None if _DATE.fullmatch(clean) else value_of(clean)


def expression(found: str) -> str | None:
    """Return the key of an extracted answer: a number, an expression, an equation or a list."""
    if len(found) > MAX_CHARACTERS:
        return shortened(found)
    clean = plain(found)
    key = _of_equation(clean) or _measured(clean) or _of_list(clean) or _as_text(clean)
    return None if key is None else shortened(key)


def _measured(clean: str) -> str | None:
    value = _value(clean)
    return _with_unit(clean) if value is None else str(value)


def _of_equation(clean: str) -> str | None:
    """Return the value of "x = 5", or of "2 + 3 = 5", whose sides are equal."""
    first, *others = (side.strip() for side in clean.split("="))
    sides = others if _is_name(first) else [first, *others]
    if not others or (len(sides) == 1 and "," in sides[0]):
        return None
    if len(sides) == 1:
        return _measured(sides[0]) or _as_text(sides[0])
    values = {None if value is None else str(value) for value in map(_value, sides)}
    return values.pop() if len(values) == 1 else None


def _is_name(side: str) -> bool:
    return side.isalpha() and len(side) <= 2


def _of_list(clean: str) -> str | None:
    """Return the values of "1, 2", "(1, 2)" or "a = 1, a = 2", in order."""
    bracketed = _BRACKETED.fullmatch(clean)
    opened, inner, closed = bracketed.groups() if bracketed else ("", clean, "")
    parts = _split(inner)
    if parts is None:
        opened, closed, parts = "", "", _split(clean)
    if parts is None or len(parts) < 2:
        return None
    named = [found.groups() for found in map(_NAMED.fullmatch, parts) if found]
    keys = [_measured(part.strip()) or _as_text(part) for _, part in named]
    if None in keys:
        return None
    if len({name for name, _ in named}) > 1:
        keys = [f"{name}={key}" if name else key for (name, _), key in zip(named, keys, strict=True)]
    return opened + ", ".join(map(str, keys)) + closed


def _split(text: str) -> list[str] | None:
    """Split `text` at commas outside brackets; None if the brackets do not match."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0:
            return None
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]] if depth == 0 else None


def _with_unit(clean: str) -> str | None:
    """Return the only number among words, as in "18 dollars per day"; None if there are symbols or more numbers."""
    words = [word for word in (word.strip(_AROUND) for word in clean.split()) if word]
    places = [place for place, word in enumerate(words) if _numeral(word) is not None]
    others = [word for place, word in enumerate(words) if place not in places]
    if len(places) != 1 or not all(map(_is_word, others)):
        return None
    (place,) = places
    before, behind = "".join(words[max(place - 1, 0) : place]), "".join(words[place + 1 : place + 2])
    changed = before.casefold() in _CHANGE_BEFORE or behind.casefold() in _CHANGE_BEHIND
    return None if changed else str(_numeral(words[place]))


def _is_word(word: str) -> bool:
    return word.replace("-", "").isalpha() and (len(word) > 1 or word in "aI")


def _as_text(clean: str) -> str | None:
    if words_of(clean) is None:
        return None
    closed = re.sub(r"\s*([^\w\s])\s*", r"\1", " ".join(clean.split()))
    # Case is significant in formulas, but not in words.
    return closed if "\\" in closed or len(closed) == 1 else closed.casefold()


def _last_number(text: str) -> str | None:
    numbers = deque(_NUMBER.finditer(tail(text)), maxlen=1)
    value = _numeral(plain(numbers[0].group())) if numbers else None
    return None if value is None else str(value)
