"""The default key: the exact number if the answer is one, else its normalised text."""

from __future__ import annotations

import re

from .markers import marked_answer
from .math import expression, number
from .text import normalised

_LATEX = re.compile(r"\\[A-Za-z]")


def final(said: str) -> str | None:
    r"""Return the key of the answer after the last marker ("Answer: ...", `\boxed{...}`), else of the whole text.

    An exact number if all of it is one; else the key of `answers.math` if it is LaTeX; else that of `answers.text`.
    """
    marked = marked_answer(said)
    found = said if marked is None else marked
    value = number(found)
    if value is not None:
        return str(value)
    return expression(found) if marked and _LATEX.search(marked) else normalised(found)
