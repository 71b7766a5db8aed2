"""Markdown as HTML, of which no link leads elsewhere than to the web. It needs markdown-it-py.

Notebooks typeset what stands between dollars, and so does this, if it is no money: as pandoc has it, there is no space
within the dollars, and no digit behind them, https://pandoc.org/MANUAL.html#extension-tex_math_dollars.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ...data import readable
from ..markdown_parser import is_json, markdown_parser
from ..printable import printable
from .elements import Markup, element, joined

_FORMULA_OR_MONEY = re.compile(r"\$\$|\$(?=[^\s$])[^$]*?(?<=[^\s\\])\$(?!\d)|(?P<money>\$)")


def markdown_html(text: str) -> Markup:
    """Return a text as HTML; JSON stays as it is."""
    if is_json(text):
        return element("pre", text)
    html = Markup(_parser().render(printable(readable(text))))
    return element("div", html, class_="mathjax_process tex2jax_process")


class _WebMarkdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802
        return url.lower().startswith(("http://", "https://"))


@cache
def _parser() -> MarkdownIt:
    parser = markdown_parser(_WebMarkdown)
    parser.add_render_rule("link_open", _open_link)
    parser.add_render_rule("text", _text)
    return parser


def _open_link(renderer: Any, tokens: Sequence[Token], place: int, options: Any, _: Any) -> str:
    tokens[place].attrs |= {"rel": "noopener noreferrer", "target": "_blank"}
    opened: str = renderer.renderToken(tokens, place, options, {})
    return opened


def _text(renderer: Any, tokens: Sequence[Token], place: int, options: Any, _: Any) -> str:
    return _FORMULA_OR_MONEY.sub(_unless_money, joined(tokens[place].content))


def _unless_money(found: re.Match[str]) -> str:
    return element("span", "$", class_="mathjax_ignore tex2jax_ignore") if found["money"] else found[0]
