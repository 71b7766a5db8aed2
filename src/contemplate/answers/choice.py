"""Multiple choice."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from .markers import after_marker, last_boxed
from .text import normalised

_LETTER = re.compile(r"^\W*(?:option\s+)?([A-Za-z])(?:\W|$)", re.IGNORECASE)


def choice(options: Mapping[str, str] | Sequence[str] = ()) -> Callable[[str], str | None]:
    """A key function for multiple choice: the letter of the option chosen.

    Only what follows an answer mark counts, or a text that is nothing but the letter. The text of an option stands for
    its letter.

    Args:
        options: the options by letter, or in the order A, B, C, ...; if none are given, any letter counts.
    """
    given = options if isinstance(options, Mapping) else {chr(ord("A") + i): each for i, each in enumerate(options)}
    by_text = {normalised(each): letter.upper() for letter, each in given.items()}
    letters = {letter.upper() for letter in given}

    def key(said: str) -> str | None:
        found = after_marker(said) or last_boxed(said)
        if found is None:
            found = said.strip()
            if len(found.strip("().*: ")) != 1:
                return None
        exact = by_text.get(normalised(found))
        if exact is not None:
            return exact
        letter = _LETTER.match(found)
        if letter is None:
            return None
        chosen = letter.group(1).upper()
        return chosen if not letters or chosen in letters else None

    return key
