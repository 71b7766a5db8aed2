"""Numbers and quantities as they are written: a text is one only if all of it is."""

from __future__ import annotations

import re
from fractions import Fraction

from .algebra import NoValueError, Value
from .expressions import evaluate

MAX_CHARACTERS = 400

_INTEGER = r"(?:\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+|(?:_\d{3})+|(?:'\d{3})+)|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d+)?|\.\d+)"
_NUMBER = re.compile(rf"([-+]?)({_DECIMAL})")
_EXPONENT = r"([-+]?\d{1,3})"
_SCIENTIFIC = re.compile(
    rf"([-+]?)(?:({_DECIMAL})(?:[eE]{_EXPONENT}| ?[\u00d7*\u00b7] ?10\^\{{?{_EXPONENT}\}}?)|10\^\{{?{_EXPONENT}\}}?)"
)
_FRACTION = re.compile(rf"([-+]?)({_INTEGER}) ?/ ?({_INTEGER})")
_MIXED = re.compile(r"([-+]?)(\d+) (\d+)/(\d+)")
# As a version or a section, 1.10 is not 1.1; and 1.000 is a thousand in half of the world.
_OPEN_ZEROS = re.compile(r"\.\d*[1-9]0+$")
_OPEN_GROUP = re.compile(r"^[-+]?\d{1,3}\.0{3}$")
_LEADING_ZERO = re.compile(r"^0[\d,_' ]")
_SAID_SIGN = re.compile(r"(minus|negative) (?=\S)", re.IGNORECASE)

# Words and signs that are surely the same unit. Others, such as "m", have more than one meaning, and stay as they are.
_UNITS = {
    **dict.fromkeys(("%", "percent", "per cent"), "percent"),
    **dict.fromkeys(("$", "dollar", "dollars"), "dollars"),
    **dict.fromkeys(("\u20ac", "euro", "euros"), "euros"),
    **dict.fromkeys(("\u00b0", "degree", "degrees"), "degrees"),
    "\u00a3": "\u00a3",
    "\u00a5": "\u00a5",
    **dict.fromkeys(("kg", "kilogram", "kilograms"), "kg"),
    **dict.fromkeys(("km", "kilometer", "kilometers", "kilometre", "kilometres"), "km"),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), "cm"),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), "mm"),
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_BEFORE = re.compile(r"([-+]?)([$\u20ac\u00a3\u00a5]) ?([-+]?)(.+)")
_AFTER = re.compile(r"(.*[\d.]|\S*[a-z])(?:( ?(?:[%$\u00b0\u20ac\u00a3\u00a5]|kg|km|cm|mm))| ([A-Za-z]+(?: cent)?))")
_SCALED = re.compile(r"(.*\S) (hundred|thousand|million)", re.IGNORECASE)

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
_ONES += ["seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: number for number, word in enumerate(_ONES)} | {
    word: 10 * number for number, word in enumerate(_TENS, 2)
}

_MARKS_FORMULA = re.compile(r"\\(?:frac|sqrt|binom)|\u221a|\bsqrt\b|\u03c0|\\pi|\bpi\b")
_TIMES = re.compile(r"\\times|\\cdot|[\u00d7\u00b7*!]")
_LETTERS = re.compile(r"[A-Za-z]+")
_KNOWN_LETTERS = frozenset({"frac", "sqrt", "binom", "pi", "i"})


def quantity(clean: str) -> str | None:
    """Return the key of a number, or of a number with a unit; None if `clean`, a text in one notation, is neither.

    A unit counts: "$5" is "5 dollars", but not "5"; nor is "50%" "50" or "0.5".
    """
    if len(clean) > MAX_CHARACTERS:
        return None
    value = constant(clean)
    if value is not None:
        return value
    before = _BEFORE.fullmatch(clean)
    if before:
        sign, unit, inner_sign, rest = before.groups()
        measured = None if sign and inner_sign else _amount(f"{sign or inner_sign}{rest}")
        return None if measured is None else f"{measured} {_UNITS[unit]}"
    after = _AFTER.fullmatch(clean)
    if after is None:
        return None
    rest, sign, word = after.groups()
    known = _UNITS.get(sign.strip()) if sign else _UNITS.get(word.lower() if len(word) > 2 else word)
    measured = None if known is None else _amount(rest)
    return None if measured is None else f"{measured} {known}"


def constant(clean: str) -> str | None:
    r"""Return the canonical text of a number in any notation, also `\frac{1}{2}`, "2√3" or "forty-two"; else None."""
    if len(clean) > MAX_CHARACTERS:
        return None
    if _OPEN_ZEROS.search(clean):
        return None
    value = _amount(clean)
    return str(value) if value is not None else _formula(clean)


def _amount(clean: str) -> Fraction | None:
    """Return the value of a number; in a quantity, the zeros of "1.10" say nothing."""
    said = _SAID_SIGN.match(clean)
    if said:
        rest = clean[said.end() :]
        value = None if rest[:1] in "+-" else _amount(rest)
        return None if value is None else -value
    scaled = _SCALED.fullmatch(clean)
    if scaled and any(map(str.isdigit, clean)):
        value = _amount(scaled.group(1))
        return None if value is None else value * _SCALES[scaled.group(2).lower()]
    return _numeral(clean) if any(map(str.isdigit, clean)) else _spelled(clean)


def _numeral(clean: str) -> Fraction | None:
    if _OPEN_GROUP.match(clean):
        return None
    found = _NUMBER.fullmatch(clean)
    if found:
        return _signed(found.group(1), _exact(found.group(2)))
    found = _SCIENTIFIC.fullmatch(clean)
    if found:
        sign, mantissa, *exponents = found.groups()
        value = _exact(mantissa or "1")
        return None if value is None else _signed(sign, value * Fraction(10) ** int(next(filter(None, exponents))))
    found = _MIXED.fullmatch(clean)
    if found:
        whole, over, under = map(_exact, found.groups()[1:])
        if whole is None or over is None or not under or over >= under:
            return None
        return _signed(found.group(1), whole + over / under)
    found = _FRACTION.fullmatch(clean)
    if found:
        over, under = _exact(found.group(2)), _exact(found.group(3))
        return _signed(found.group(1), over / under) if over is not None and under else None
    return None


def _exact(digits: str) -> Fraction | None:
    """Return the value of digits; None for "007", which is no number but a code."""
    if _LEADING_ZERO.match(digits):
        return None
    return Fraction(re.sub(r"[,_' ]", "", digits))


def _signed(sign: str, value: Fraction | None) -> Fraction | None:
    return -value if sign == "-" and value is not None else value


def _spelled(clean: str) -> Fraction | None:
    """Return the value of "forty-two", "one hundred and five" or "three thousand"."""
    total = group = 0
    last = None
    for word in clean.lower().replace("-", " ").replace(" hundred and ", " hundred ").split(" "):
        if word in _SCALES:
            if last is None or (last in _SCALES and last != "hundred"):
                return None
            if word == "hundred":
                if not 0 < group < 10:
                    return None
                group *= 100
            else:
                if not group or (total and total < _SCALES[word] * 1_000):
                    return None
                total, group = total + group * _SCALES[word], 0
        elif word in _SMALL:
            number = _SMALL[word]
            follows = last is None or last in _SCALES or (last in _TENS and 0 < number < 10)
            if not follows or (number == 0 and last is not None):
                return None
            group += number
        else:
            return None
        last = word
    return Fraction(total + group)


def _formula(clean: str) -> str | None:
    r"""Return the exact value of an expression of numbers, roots and pi, such as `3+2\sqrt{2}`.

    Only where it cannot be anything else: "3-5" may be a range, "2024-03-01" is a date, and "(√2)" is in brackets.
    """
    letters = set(_LETTERS.findall(clean.replace("\u03c0", r"\pi ")))
    if not _MARKS_FORMULA.search(clean) or _TIMES.search(clean) or not letters <= _KNOWN_LETTERS or _enclosed(clean):
        return None
    value = value_of(clean.replace("\u03c0", r"\pi "))
    return None if value is None else str(value)


def _enclosed(clean: str) -> bool:
    """Return whether the first bracket closes at the end."""
    if clean[0] not in "([{":
        return clean.startswith("\\{")
    depth = 0
    for place, letter in enumerate(clean):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            return place == len(clean) - 1
    return True


def value_of(clean: str) -> Value | None:
    """Return the exact value of an expression; None if it has none."""
    try:
        return evaluate(clean)
    except NoValueError:
        return None
