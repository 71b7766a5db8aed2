"""Canonical keys of free text, without case, articles and punctuation."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2s

from .markers import MAX_CHARACTERS, marked_answer

MAX_KEY_CHARACTERS = 500

# The sign of a number and the "++" of "C++" are not punctuation.
_WORD = re.compile(r"(?:(?<![\w)])-(?=\.?\d))?[^\W_]+(?:[_.'][^\W_]+)*(?:\+\+|#|\+(?![\w+]))?")
_FORMULA = re.compile(r"(?<=[\w)])\s?[-+*/^=<>]\s?(?=[-\w(])")
_TWO_LETTERS = re.compile(r"[^\W\d_]{2}")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_SAME = str.maketrans({"\u2212": "-", "\u2019": "'"})
_ARTICLES = frozenset({"a", "an", "the"})


def text(said: str) -> str | None:
    """Return the key of a free-text answer: the text after its last marker, else all of it, as in `normalised`."""
    marked = marked_answer(said)
    return normalised(said if marked is None else marked)


def normalised(string: str) -> str | None:
    """Return `string` in NFKC without case, articles and punctuation; None if no word and no symbol is left.

    Punctuation in a formula, such as "x-1", is significant and is kept.
    """
    folded = unicodedata.normalize("NFKC", string[:MAX_CHARACTERS]).casefold().translate(_SAME)
    if _FORMULA.search(folded) and not _TWO_LETTERS.search(folded):
        return shortened("".join(folded.split()).strip("*`$."))
    words = _WORD.findall(ungrouped(folded))
    # The last word is not an article: "a" may be a multiple-choice answer, and "vitamin a" is a specific vitamin.
    kept = [word for word in words[:-1] if word not in _ARTICLES] + words[-1:]
    key = " ".join(kept) or "".join(letter for letter in folded if unicodedata.category(letter)[0] == "S")
    return shortened(key) if key else None


def ungrouped(string: str) -> str:
    """Return `string` without thousands separators."""
    return _GROUPED.sub(lambda found: found.group().replace(",", ""), string)


def shortened(key: str) -> str:
    """Return `key`, or its beginning and a digest of all of it if it is long."""
    if len(key) <= MAX_KEY_CHARACTERS:
        return key
    return f"{key[:MAX_KEY_CHARACTERS]} {blake2s(key.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
