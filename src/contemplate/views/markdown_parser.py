"""Markdown as models write it: nothing is hidden, and what was not meant as Markdown stays as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

# A backslash before one of these is kept: it is TeX, as in \( and \[.
TEX = frozenset("()[]{}\\,;:!%&=")
_EMPHASIS = ("em", "strong", "s")
_GLUED_BEFORE, _GLUED_AFTER = re.compile(r"[A-Za-z0-9)\]}]\Z"), re.compile(r"[A-Za-z0-9(\[{]")
_JSON = re.compile(r"""\s*(\{|\[\s*([\[\]{"\d-]|true|false|null))""")


def is_json(text: str) -> bool:
    """Return whether a text begins like JSON: what programs are to read stays as it is."""
    return _JSON.match(text) is not None


def markdown_parser(kind: type[MarkdownIt] = MarkdownIt) -> MarkdownIt:
    """Return a new parser of a kind."""
    # What would be hidden is text: HTML, definitions of links, and images, which become links.
    parser = kind("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.disable(["html_block", "html_inline", "reference", "image", "entity", "text_join"])
    parser.block.ruler.before("table", "too_deep", _keep_what_is_too_deep)
    parser.core.ruler.push("as_written", _keep_as_written)
    return parser


def _keep_what_is_too_deep(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Keep what stands in too many lists and quotes as it was written; the parser would leave it out."""
    # A list and its item are two levels.
    if state.level + 2 < state.md.options.maxNesting:
        return False
    after = first + 1
    while after < end and (state.isEmpty(after) or state.sCount[after] >= state.blkIndent):
        after += 1
    token = state.push("code_block", "code", 0)
    token.content = state.getLines(first, after, state.blkIndent, False).rstrip("\n") + "\n"
    token.map = [first, after]
    state.line = after
    return True


def _keep_as_written(state: StateCore) -> None:
    """Keep what was not meant as Markdown: the ends of lines, TeX, and products such as 2*3*4."""
    for token in state.tokens:
        children = token.children or []
        for child in children:
            if child.type == "softbreak":
                child.type = "hardbreak"
            elif child.type == "text_special":
                child.type, child.content = "text", child.markup if child.content in TEX else child.content
        opened: list[int] = []
        for place, child in enumerate(children):
            if child.tag not in (*_EMPHASIS, "a"):
                continue
            if child.nesting == 1:
                opened.append(place)
            elif child.nesting == -1:
                _keep_marks(children, opened.pop(), place)


def _keep_marks(children: Sequence[Token], opens: int, closes: int) -> None:
    first, last = children[opens], children[closes]
    if first.tag == "a":
        if (
            first.info == "auto"
            or "".join(each.content for each in children[opens + 1 : closes]) == first.attrs["href"]
        ):
            # It is its own address, which need not be told twice.
            _become_text(first, last, "")
        return
    before = children[opens - 1] if opens else first
    after = children[closes + 1] if closes + 1 < len(children) else last
    if (before.type == "text" and _GLUED_BEFORE.search(before.content)) or (
        after.type == "text" and _GLUED_AFTER.match(after.content)
    ):
        _become_text(first, last, first.markup)


def _become_text(first: Token, last: Token, text: str) -> None:
    for each in (first, last):
        each.type, each.tag, each.nesting, each.content = "text", "", 0, text
