"""Multiple choice."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from .latex import plain
from .markers import marked_answer
from .text import normalised

MAX_CHARACTERS = 2_000

# "a cat" and "I think" begin with words, "A because ..." and "(a) ..." with letters; "A or B" chooses nothing.
_LETTER = re.compile(
    r"\W*(?:(?i:option|choice)\b\W*)?(?!a\s+\w|I\s+\w)([A-Za-z])(?![\w'\u2019])"
    r"(?![\s).]*(?:[,/&]|and\b|or\b)[\s(]*[A-HJ-Z]\b)"
)
_ALONE = re.compile(r"[\s(*\[]*([A-Za-z])[\s)*.:\]]*")


def choice(options: Mapping[str, str] | Sequence[str] = ()) -> Callable[[str], str | None]:
    """A key function for multiple choice: the letter of the option chosen.

    Only what follows an answer mark counts, or a text that is nothing but the letter or an option. The text of an
    option stands for its letter. If the options were shuffled for each sample, their letters are to be mapped back
    first: the key knows one order.

    Args:
        options: the options by letter, or in the order A, B, C, ...; if none are given, any letter counts.
    """
    given = options if isinstance(options, Mapping) else {chr(ord("A") + i): each for i, each in enumerate(options)}
    letters = {letter.upper() for letter in given}
    by_words = _by_words(given)

    def key(said: str) -> str | None:
        marked = marked_answer(said)
        found = plain((said.strip() if marked is None else marked)[:MAX_CHARACTERS])
        letter = (_ALONE.fullmatch if marked is None else _LETTER.match)(found)
        chosen = letter.group(1).upper() if letter else None
        # "A cat" is what the second option says, if that is "a cat"; "A" is the first.
        worded = None if _ALONE.fullmatch(found) else by_words.get(normalised(found) or "")
        return worded or (chosen if chosen in letters or not letters else None)

    return key


def _by_words(options: Mapping[str, str]) -> dict[str, str]:
    """The letters by what the options say; options that say the same are left out."""
    said = [(normalised(plain(each)), letter.upper()) for letter, each in options.items()]
    words = [each for each, _ in said]
    return {each: letter for each, letter in said if each is not None and words.count(each) == 1}
