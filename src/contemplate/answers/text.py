"""Canonical keys of free text, without case, articles and formatting."""

from __future__ import annotations

import re
from hashlib import blake2s

from .equivalent_symbols import unified, unwrapped
from .markers import MAX_CHARACTERS, marked_answer

MAX_KEY_CHARACTERS = 500

_SAYS_NOTHING = re.compile(r"[\s.,;:?!'\"\u2026\u2014]*")
_PROSE = re.compile(r"(?:[^\W\d_]|[\s,;:.'\"-])+")
_WORD = re.compile(r"(?<![\w\\])[^\W\d_]{2,}(?!\w)")
# Other words of two letters may be symbols, whose case counts: "CO" is not "Co".
_SHORT_WORDS = frozenset(
    ("as", "at", "be", "by", "do", "he", "if", "in", "is", "it", "me", "my", "no", "of", "ok", "on", "or", "so", "to")
)
# "vitamin a" ends with no article, nor does "vitamin a deficiency" contain one.
_ARTICLE = re.compile(r"^(?:an?|A)\s+(?=[^\W\d_]{2})|(?<!\S)the\s+(?=\w)")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_COUNTED = re.compile(r"\d[\d,]*(?:\.\d+)?(?: [^\W\d_]+)*")
_COMMA = re.compile(r"(?<=(.))(\s*),(\s*)(?=(\d{0,4}))")
_SPACED_OPERATOR = re.compile(
    r"(?<=\S) ([-+*/^=<>&\u00b7\u00d7\u00f7\u2208\u2209\u2229\u222a\u2248\u2260-\u22a5]) (?=\S)"
)
_IN_BRACKETS = re.compile(r"(?<=[(\[{])\s+|\s+(?=[)\]}])|(?<=\":)\s+")
_IN_LATEX = re.compile(r"\s*(\\\\|[{}&^_()\[\]|])\s*|\s+(?=\\[A-Za-z])")


def text(said: str) -> str | None:
    """Return the key of a free-text answer: the text after its last marker, else all of it, as in `words`."""
    marked = marked_answer(said)
    return words(said if marked is None else marked)


def words(string: str) -> str | None:
    """Return `string` in one notation, without articles, and without case and spaces where they mean nothing.

    Symbols and punctuation are kept, since what they mean is not known: "5!" is not "5", nor is "[1,2)" "[1,2]". None
    if there is neither a word nor a symbol.
    """
    return words_of(unified(unwrapped(string[:MAX_CHARACTERS])))


def words_of(clean: str) -> str | None:
    """Return the key of a text in one notation, as of `unified`."""
    if _SAYS_NOTHING.fullmatch(clean):
        return None
    said = clean.rstrip("?!")
    if said != clean and " " in said and said[-2:].isalpha() and _PROSE.fullmatch(said):
        clean = said
    key = _ARTICLE.sub("", _WORD.sub(_without_case, clean)) or clean
    if _COUNTED.fullmatch(key):
        key = ungrouped(key)
    key = key.replace(r"\{", "{").replace(r"\}", "}")
    if not _PROSE.fullmatch(key):
        key = _SPACED_OPERATOR.sub(r"\1", key)
    bracketed = any(bracket in key for bracket in "([{")
    key = _COMMA.sub(lambda found: _separator(*found.groups(), bracketed=bracketed), _IN_BRACKETS.sub("", key))
    return shortened(_IN_LATEX.sub(lambda found: found.group(1) or "", key) if "\\" in key else key)


def _without_case(found: re.Match[str]) -> str:
    word = found.group()
    one_case = word.isupper() or word.islower() or word.istitle()
    return word.lower() if one_case and (len(word) > 2 or word.lower() in _SHORT_WORDS) else word


def _separator(before: str, left: str, right: str, after: str, *, bracketed: bool) -> str:
    """Return ", " for a comma that separates; "1,5" and "1,000" may be numbers, but "(1,5)" is a pair."""
    tight = before.isdigit() and after and not left and not right
    return "," if tight and not (bracketed and len(after) != 3) else ", "


def ungrouped(string: str) -> str:
    """Return `string` without thousands separators."""
    return _GROUPED.sub(lambda found: found.group().replace(",", ""), string)


def shortened(key: str) -> str:
    """Return `key`, or its beginning and a digest of all of it if it is long."""
    if len(key) <= MAX_KEY_CHARACTERS:
        return key
    return f"{key[:MAX_KEY_CHARACTERS]} {blake2s(key.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
