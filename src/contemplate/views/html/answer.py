"""What a model answered as HTML: its Markdown, or the text as it is where there is nothing to read Markdown with."""

from __future__ import annotations

from .elements import Markup, element

# Characters: what is longer makes a page slow, and is cut off.
MOST = 50_000


def answer_html(text: str, most: int = MOST) -> Markup:
    """Return a text as HTML, at most so many characters of it."""
    whole = text.strip()
    left = len(whole) - most
    more = [element("p", f"... and {left:,} more characters", class_="dim")] if left > 0 else []
    return element("div", _body(whole[:most]), *more, class_="answer")


def _body(text: str) -> Markup:
    try:
        from .markdown import markdown_html
    except ImportError:
        return element("div", text, class_="written")
    return markdown_html(text)
