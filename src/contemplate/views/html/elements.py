"""HTML of which every text is escaped, unless its type says that it is HTML."""

from __future__ import annotations

from html import escape

from ...data import readable
from ..printable import printable


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *content: str, **attributes: str) -> Markup:
    """Return an element. A name that is Python's own is written with a "_" behind it, as in `class_`.

    Args:
        tag: its name.
        content: what is in it: texts, which are escaped, and markup, which is not.
        attributes: its attributes; one without a value is "".
    """
    said = "".join(f' {name.rstrip("_")}="{_escaped(value)}"' for name, value in attributes.items())
    return Markup(f"<{tag}{said}>{joined(*content)}</{tag}>")


def joined(*content: str) -> Markup:
    """Return texts and markup behind each other."""
    return Markup("".join(each if isinstance(each, Markup) else _escaped(each) for each in content))


def _escaped(text: str) -> str:
    # Half of a surrogate pair cannot be sent to a notebook, and would cost it the whole view.
    return escape(printable(readable(text)))
