"""Regular expressions in what servers understand.

An assertion (look-around, a word boundary) only forbids, so that an expression without it allows more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d+)(?:,(\d*))?\})(\??)(?![+*])")
_GROUP = re.compile(r"\((?:\?:|\?P?<(?![=!])\w+>)?(?!\?)")
_ASSERTION = re.compile(r"\(\?(?:=|!|<=|<!)")
_ESCAPED_LETTERS = "dDwWsSnrtfv"
_MOST_REPETITIONS = 1999


class _Unknown(Exception):
    """The expression has something that is not known here."""


@dataclass(frozen=True)
class _Item:
    kind: Literal["character", "set", "class", "dot", "group", "start", "end", "assertion"]
    source: str
    quantifier: str = ""
    inner: tuple[tuple[_Item, ...], ...] = ()


def without_assertions(pattern: str) -> str | None:
    """Return `pattern` without look-around and word boundaries; None if it cannot be read."""
    try:
        return _plain(_Reader(pattern).whole())
    except _Unknown:
        return None


def in_grammar(pattern: str) -> str | None:
    r"""Return `pattern` in what llama.cpp turns into a grammar of JSON text; None if it cannot be said there.

    It begins with "^" and ends with "$", and has literals, classes, groups and repetitions; no `\d`, and nothing that
    would match a quotation mark, a backslash or a control character, as those are escaped in the text.
    """
    try:
        alternatives = _Reader(pattern).whole()
        inner = [_between_anchors(each) for each in alternatives]
        text = _grammar(inner)
    except _Unknown:
        return None
    return f"^({text})$" if len(inner) > 1 else f"^{text}$"


class _Reader:
    """Reads an expression, each character once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> tuple[tuple[_Item, ...], ...]:
        found = self._alternatives()
        if self._at < len(self._text):
            raise _Unknown
        return found

    def _alternatives(self) -> tuple[tuple[_Item, ...], ...]:
        found: list[tuple[_Item, ...]] = []
        items: list[_Item] = []
        while self._at < len(self._text) and self._text[self._at] != ")":
            if self._text[self._at] == "|":
                self._at += 1
                found.append(tuple(items))
                items = []
            else:
                items.append(self._quantified(self._item()))
        return (*found, tuple(items))

    def _take(self, source: str) -> str:
        self._at += len(source)
        return source

    def _item(self) -> _Item:
        letter = self._text[self._at]
        if letter == "\\":
            return self._escape()
        if letter == "[":
            return _Item("class", self._take(self._class()))
        if letter == "(":
            return self._group()
        if letter in "*+?{":
            raise _Unknown
        kinds: dict[str, Literal["dot", "start", "end"]] = {".": "dot", "^": "start", "$": "end"}
        return _Item(kinds.get(letter, "character"), self._take(letter))

    def _escape(self) -> _Item:
        source = self._text[self._at : self._at + 2]
        letter = source[1:]
        if letter in ("b", "B"):
            return _Item("assertion", self._take(source))
        if not letter or (letter.isalnum() and letter not in _ESCAPED_LETTERS):
            raise _Unknown
        return _Item("set" if letter.isalpha() else "character", self._take(source))

    def _class(self) -> str:
        found = re.compile(r"\[\^?(?:\\.|[^\]\\\[])+\]").match(self._text, self._at)
        if found is None:
            raise _Unknown
        return found[0]

    def _group(self) -> _Item:
        assertion = _ASSERTION.match(self._text, self._at)
        opening = assertion or _GROUP.match(self._text, self._at)
        if opening is None:
            raise _Unknown
        self._take(opening[0])
        inner = self._alternatives()
        if not self._text.startswith(")", self._at):
            raise _Unknown
        self._take(")")
        return _Item("assertion" if assertion else "group", "", inner=inner)

    def _quantified(self, item: _Item) -> _Item:
        found = _QUANTIFIER.match(self._text, self._at)
        if found is None:
            return item
        self._take(found[0])
        if any(each and int(each) > _MOST_REPETITIONS for each in found.groups()[:2]):
            raise _Unknown
        # Whether as few as possible are taken makes no difference to what matches.
        return _Item(item.kind, item.source, found[0].removesuffix("?") if found[3] else found[0], item.inner)


def _plain(alternatives: Sequence[Sequence[_Item]]) -> str:
    def text(item: _Item) -> str:
        if item.kind == "assertion":
            return ""
        source = f"(?:{_plain(item.inner)})" if item.kind == "group" else item.source
        return source + item.quantifier

    return "|".join("".join(map(text, items)) for items in alternatives)


def _between_anchors(items: Sequence[_Item]) -> Sequence[_Item]:
    kept = [each for each in items if each.kind != "assertion"]
    if len(kept) < 2 or kept[0].kind != "start" or kept[-1].kind != "end" or kept[0].quantifier or kept[-1].quantifier:
        raise _Unknown
    return kept[1:-1]


def _grammar(alternatives: Sequence[Sequence[_Item]]) -> str:
    return "|".join(_grammar_sequence(items) for items in alternatives)


def _grammar_sequence(items: Sequence[_Item]) -> str:
    text = "".join(_grammar_item(each) + each.quantifier for each in items if each.kind != "assertion")
    if not text:
        raise _Unknown
    return text


def _grammar_item(item: _Item) -> str:
    if item.kind == "group":
        return f"({_grammar(item.inner)})"
    if item.kind == "set":
        return f"[{_digits(item.source[1])}]"
    if item.kind == "class":
        return _grammar_class(item.source[1:-1])
    if item.kind == "character":
        letter = item.source[-1]
        # In a group of its own, as an escape within a literal takes what stands before it into its repetition.
        return rf"(\{letter})" if letter in "^$.[](){}|*+?" else _printable(letter)
    raise _Unknown


def _digits(letter: str) -> str:
    # The letters of `\w`, and what is no digit, are of all alphabets.
    if letter != "d":
        raise _Unknown
    return "0-9"


def _printable(letter: str) -> str:
    if not " " <= letter <= "~" or letter in '"\\':
        raise _Unknown
    return letter


def _grammar_class(inner: str) -> str:
    if inner.startswith("^"):
        raise _Unknown
    parts: list[str] = []
    single: dict[str, None] = {}
    for found in re.finditer(r"\\([dDwWsS])|(\\?.)-(\\?.)|(\\?.)", inner, re.DOTALL):
        if found[1]:
            parts.append(_digits(found[1]))
        elif found[2]:
            ends = found[2], found[3]
            if any(not each.isalnum() for each in ends):
                raise _Unknown
            parts.append(f"{_printable(ends[0])}-{_printable(ends[1])}")
        else:
            if found[4][0] == "\\" and found[4][-1].isalnum():
                raise _Unknown
            single[_printable(found[4][-1])] = None
    # "^" not first, "-" last: nowhere else do they stand for themselves.
    letters = sorted(single, key=lambda letter: (letter in "^-", letter == "-"))
    text = "".join(parts) + "".join(f"\\{each}" if each in "[]" else each for each in letters)
    return text.replace("^", r"(\^|", 1) + ")" if text.startswith("^-") else r"(\^)" if text == "^" else f"[{text}]"
