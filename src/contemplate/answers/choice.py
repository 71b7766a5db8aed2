"""Canonical keys of multiple-choice answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from .equivalent_symbols import unified, unwrapped
from .markers import marked_answer
from .text import words, words_of

MAX_CHARACTERS = 2_000

# "a cat" and "I think" start with words, "A because ..." and "(a) ..." with letters; "A or B" is not a choice.
_LETTER = re.compile(
    r"\W*(?:(?i:option|choice)\b\W*)?(?!a\s+\w|I\s+\w)([A-Za-z])(?![\w'\u2019])"
    r"(?![\s).]*(?:[,/&]|and\b|or\b)[\s(]*[A-HJ-Z]\b)"
)
_ALONE = re.compile(r"[\s(*\[]*([A-Za-z])[\s)*.:\]]*")


def choice(options: Mapping[str, str] | Sequence[str] = ()) -> Callable[[str], str | None]:
    """Return a key function for multiple choice, whose key is the letter of the chosen option.

    The choice is read after an answer marker, or from a text that consists of only the letter or an option. The text of
    an option counts as its letter. If options are shuffled per sample, map their letters back first: the key function
    uses one fixed order.

    Args:
        options: the options by letter, or in the order A, B, C, ...; if empty, any letter is valid.
    """
    given = options if isinstance(options, Mapping) else {chr(ord("A") + i): each for i, each in enumerate(options)}
    letters = {letter.upper() for letter in given}
    letter_of = _letters_by_text(given)

    def key(answer: str) -> str | None:
        marked = marked_answer(answer)
        found = unified(unwrapped((answer if marked is None else marked)[:MAX_CHARACTERS]))
        letter = (_ALONE.fullmatch if marked is None else _LETTER.match)(found)
        chosen = letter.group(1).upper() if letter else None
        # "A cat" is option B if that reads "a cat"; "A" alone is option A.
        by_text = None if _ALONE.fullmatch(found) else letter_of.get(words_of(found) or "")
        return by_text or (chosen if chosen in letters or not letters else None)

    return key


def _letters_by_text(options: Mapping[str, str]) -> dict[str, str]:
    """Return the letters by the options' texts, without options of equal text."""
    pairs = [(words(each), letter.upper()) for letter, each in options.items()]
    texts = [text for text, _ in pairs]
    return {text: letter for text, letter in pairs if text is not None and texts.count(text) == 1}
