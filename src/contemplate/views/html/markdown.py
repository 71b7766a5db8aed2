"""Markdown as HTML, of which no link leads elsewhere than to the web. It needs markdown-it-py."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ...data import readable
from ..markdown_parser import is_json, markdown_parser
from ..printable import printable
from .elements import Markup, element


def markdown_html(text: str) -> Markup:
    """Return a text as HTML; JSON stays as it is."""
    if is_json(text):
        return element("pre", text)
    return Markup(_parser().render(printable(readable(text))))


class _WebMarkdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802
        return url.lower().startswith(("http://", "https://"))


@cache
def _parser() -> MarkdownIt:
    parser = markdown_parser(_WebMarkdown)
    parser.add_render_rule("link_open", _open_link)
    return parser


def _open_link(renderer: Any, tokens: Sequence[Token], place: int, options: Any, _: Any) -> str:
    tokens[place].attrs |= {"rel": "noopener noreferrer", "target": "_blank"}
    opened: str = renderer.renderToken(tokens, place, options, {})
    return opened
