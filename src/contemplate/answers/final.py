"""The default key: what an answer says, in one notation."""

from __future__ import annotations

import re

from .equivalent_symbols import unified, unwrapped
from .markers import MAX_CHARACTERS, marked_answer
from .numbers import constant, quantity
from .text import shortened, words_of

_NAMED = re.compile(r"[^\W\d_] ?= ?([^=]+)|([^=]+?) ?= ?[^\W\d_]")
_COMPARED = re.compile(r"([^<>\u2264\u2265=]+?) ?(?<![-<>=])([<>\u2264\u2265])(?![-<>=]) ?([^<>\u2264\u2265=]+)")
_TURNED = {">": "<", "\u2265": "\u2264", "<": "<", "\u2264": "\u2264"}
_LISTED = re.compile(r", and |, | and ")
_BRACKETED = re.compile(r"([(\[]|\\?\{)((?:[^()\[\]{}]|\\frac\{[^{}]+\}\{[^{}]+\})+?)([)\]]|\\?\})")
_MAYBE_GROUPED = re.compile(r"\d,\d{3}(?!\d)")
_PROPER = re.compile(r"\S*/\S*|\\frac.*")


def final(said: str) -> str | None:
    r"""Return the key of the answer after the last marker ("Answer: ...", `\boxed{...}`), else of the whole text.

    Answers have the same key only if they are the same answer to the same question in any reading. So a number is one
    only if nothing stands around it ("5!", "±5", "over 5" and "(5)" are not 5), and notations of one number have one
    key ("1,000", "1e3", "one thousand"; "1/2", `\frac{1}{2}` and "½"; "x = 3" and "3"). A unit counts: "$5" is
    "5 dollars" and not "5", and "50%" is neither "50" nor "0.5". So do the last zeros of "1.10", which may be a
    version. Anything else is compared as text (`answers.text`).

    Where a vote should see less, take another key: `answers.math` ignores units, `answers.choice` knows the options.
    """
    marked = marked_answer(said)
    return _key(unified(unwrapped((said if marked is None else marked)[:MAX_CHARACTERS])))


def _key(clean: str) -> str | None:
    key = quantity(clean) or _named(clean) or _comparison(clean) or _listed(clean)
    return words_of(clean) if key is None else shortened(key)


def _named(clean: str) -> str | None:
    """Return the value of "x = 3", or of "3 = x"."""
    named = _NAMED.fullmatch(clean)
    return None if named is None else quantity(named.group(1) or named.group(2))


def _comparison(clean: str) -> str | None:
    """Return "3 < x" for both "3 < x" and "x > 3"."""
    compared = _COMPARED.fullmatch(clean)
    if compared is None:
        return None
    left, sign, right = compared.groups()
    sides = [constant(side.strip()) or words_of(side.strip()) for side in (left, right)]
    if None in sides:
        return None
    return f" {_TURNED[sign]} ".join(map(str, sides if _TURNED[sign] == sign else sides[::-1]))


def _listed(clean: str) -> str | None:
    """Return "1, 2" for "1 and 2", and "(1/2, 3)" for "(0.5,3)"; "2 and 1/2" may be a sum, "(1,200)" a number."""
    bracketed = _BRACKETED.fullmatch(clean)
    if bracketed:
        opened, inner, closed = bracketed.groups()
        items = [] if _MAYBE_GROUPED.search(inner) else [item.strip() for item in inner.split(",")]
    else:
        opened, closed, items = "", "", _LISTED.split(clean)
        if ", " not in clean and _PROPER.fullmatch(items[-1]):
            return None
    values = [constant(item) for item in items]
    if len(items) < 2 or None in values:
        return None
    return opened.lstrip("\\") + ", ".join(map(str, values)) + closed.lstrip("\\")
