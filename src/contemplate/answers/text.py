"""Free text, compared without case, articles and punctuation."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2s

from .markers import MAX_CHARACTERS, after_marker

MAX_KEY_CHARACTERS = 500

_WORD = re.compile(r"\w+(?:[.'\u2019]\w+)*", re.UNICODE)
_ARTICLES = frozenset({"a", "an", "the"})


def text(said: str) -> str | None:
    """The key of a free-text answer: the line after the last answer mark, else everything, `normalised`."""
    return normalised(after_marker(said) or said)


def normalised(said: str) -> str | None:
    """`said` in NFKC, without case, articles and punctuation; None if no word is left."""
    folded = unicodedata.normalize("NFKC", said[:MAX_CHARACTERS]).casefold()
    words = [word for word in _WORD.findall(folded) if word not in _ARTICLES]
    key = " ".join(words)
    if len(key) > MAX_KEY_CHARACTERS:
        return f"{key[:MAX_KEY_CHARACTERS]} {blake2s(key.encode(), digest_size=8).hexdigest()}"
    return key or None
