"""The end of what stands in brackets, found while it arrives in pieces."""

from __future__ import annotations

import re


class Bracketed:
    """A text up to the bracket that closes the first one; brackets within quotes do not count.

    Args:
        opening, closing: the brackets, each a character.
        quotes: the characters that begin a quoted text, which ends with the same one.
    """

    def __init__(self, opening: str, closing: str, quotes: str) -> None:
        self._sign = re.compile("[" + re.escape(opening + closing + quotes + "\\") + "]")
        self._opening = opening
        self._quotes = quotes
        self._pieces: list[str] = []
        self._depth = 0
        self._quote = ""
        self._escaped = False

    @property
    def text(self) -> str:
        """What was added, up to the end."""
        return "".join(self._pieces)

    def add(self, text: str) -> str | None:
        """Add text; return what follows the end, and None before it."""
        place = int(self._escaped and bool(text))
        self._escaped = self._escaped and not text
        while sign := self._sign.search(text, place):
            place = sign.end()
            if sign[0] == "\\":
                self._escaped = place == len(text)
                place += 1
            elif sign[0] in self._quotes:
                self._quote = "" if self._quote == sign[0] else self._quote or sign[0]
            elif not self._quote:
                self._depth += 1 if sign[0] in self._opening else -1
                if self._depth <= 0:
                    self._pieces.append(text[:place])
                    return text[place:]
        self._pieces.append(text)
        return None
