"""The usual key: a number where the answer is one, else its words."""

from __future__ import annotations

import re

from .markers import marked_answer
from .math import expression, number
from .text import normalised

_LATEX = re.compile(r"\\[A-Za-z]")


def final(said: str) -> str | None:
    r"""The key of the answer at the last mark ("Answer: ...", `\boxed{...}`), else of the whole text.

    An exact number if all of it is one; if it is LaTeX, as `answers.math` reads it; else its words, as `answers.text`
    compares them.
    """
    marked = marked_answer(said)
    found = said if marked is None else marked
    value = number(found)
    if value is not None:
        return str(value)
    return expression(found) if marked and _LATEX.search(marked) else normalised(found)
