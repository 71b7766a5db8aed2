"""Prompt templates, one file each. Substituted values are never scanned for placeholders.

replaced      prompts of one's own, instead of the defaults
checking      what one of them must be like; with the words that code reads (fixed_words)
templates     the defaults
instructions  what is added for a role
results, leaving_out    results as text for other prompts; texts that are shortened
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from hashlib import blake2s
from itertools import count

from .own_prompts import DEFAULTS, Prompts
from .templates import render


def fence_mark(texts: Sequence[tuple[str, str]]) -> str:
    """Return the mark for the fences around `texts`, which occurs in none of them.

    It is a digest of the texts and nothing else, so that the same texts make the same prompt. An author of a text
    cannot write it: adding the mark to a text changes the mark.

    Args:
        texts: pairs of label and text to be fenced.
    """
    joined = "\0".join(map(_normalised, (text for pair in texts for text in pair)))
    seed = blake2s(joined.encode(errors="surrogatepass")).digest()
    marks = (blake2s(seed + number.to_bytes(8), digest_size=5).hexdigest() for number in count())
    return next(mark for mark in marks if mark not in joined)


def fenced(texts: Iterable[tuple[str, str]], mark: str) -> str:
    """Return untrusted texts with labels, between fences that carry `mark`, the `fence_mark` of the same texts.

    A text cannot close its fence, since it does not contain the mark.
    """
    return "\n\n".join(f"<<{label} {mark}>>\n{text.strip()}\n<<end {mark}>>" for label, text in texts)


def _normalised(text: str) -> str:
    """Return `text` with look-alike characters normalised and invisible ones removed, as a model may read it."""
    if text.isascii():
        return text.casefold()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")


__all__ = ["DEFAULTS", "Prompts", "fence_mark", "fenced", "render"]
