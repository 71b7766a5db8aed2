"""Markdown in whole blocks, while it is being written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markdown_it.token import Token

from ..views.markdown_parser import markdown_parser

# A text is parsed again when a sixteenth of it is new, so that a long block does not take the square of its time.
NEW_SHARE = 16
# A line that is not whole may turn out to be anything, unless it begins like this.
_CERTAIN = re.compile(r"(?:#{1,6} |(?:[-*+]|\d{1,9}[.)]) )?(?:\*\*|__)?[^\W\d_]")


class Block(NamedTuple):
    """A block: a paragraph, a list, a table, ...

    Args:
        text: the lines of it, as they were written.
        tokens: the same, parsed.
        apart: whether a blank line stands before it.
    """

    text: str
    tokens: Sequence[Token]
    apart: bool


class MarkdownBlocks:
    """Hands out the blocks of a text that is being written, each as soon as nothing more can come to it."""

    def __init__(self) -> None:
        self._parser = markdown_parser()
        self._parsed = 0
        self.rest = ""
        """What was written, and is in no block yet."""
        self.apart = False
        """Whether a blank line stands before the rest."""

    def add(self, text: str) -> list[Block]:
        """Add a piece, and return the blocks that are whole by now."""
        self.rest += text
        end = self.rest.rfind("\n") + 1
        lines = self.rest if _CERTAIN.match(self.rest, end) else self.rest[:end]
        if (len(lines) - self._parsed) * NEW_SHARE <= len(lines):
            return []
        self._parsed = len(lines)
        *whole, (last, start) = self._blocks(lines)
        if whole:
            self.rest, self.apart = self.rest[start:], last.apart
            self._parsed -= start
        return [block for block, _ in whole]

    def end(self) -> list[Block]:
        """Return the blocks that are left, as nothing more comes."""
        text, self.rest, self._parsed = self.rest, "", 0
        return [block for block, _ in self._blocks(text)]

    def _blocks(self, text: str) -> Iterator[tuple[Block, int]]:
        """Yield each block, and where it begins; the last may be of blank lines only."""
        lines = text.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        end, tokens = 0, list[Token]()
        for token in self._parser.parse(text):
            tokens.append(token)
            if token.level or token.nesting > 0:
                continue
            first, after = tokens[0].map or (end, len(lines))
            while after > first + 1 and not lines[after - 1].strip():
                after -= 1
            apart = first > end if end else first > 0 or self.apart
            yield Block("\n".join(lines[first:after]), tokens, apart), starts[first]
            end, tokens = after, []
        if not end and text:
            yield Block("", (), False), 0
