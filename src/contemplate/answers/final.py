"""The usual key: a number where the answer is one, else its words."""

from __future__ import annotations

from .markers import after_marker, last_boxed
from .math import number
from .text import normalised


def final(said: str) -> str | None:
    r"""The key of the answer after the last mark ("Answer:", `\boxed{...}`), else of the whole text.

    An exact number if all of it is one, else its words as `answers.text` compares them.
    """
    found = after_marker(said) or last_boxed(said) or said
    found = last_boxed(found) or found
    value = number(found)
    return str(value) if value is not None else normalised(found)
