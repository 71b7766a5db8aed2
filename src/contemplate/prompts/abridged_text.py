"""Shorten texts in a prompt: where the fences stand, and a text without its middle."""

from __future__ import annotations

import re

from .own_prompts import Prompts

# As `fenced` writes them. A text between fences that stands in another such text belongs to the outer one.
_FENCED = re.compile(r"<<[^\n]* ([0-9a-f]{8,64})>>\n(.*?)\n<<end \1>>", re.DOTALL)
_GAP = " ... "


def fenced_places(text: str) -> list[tuple[int, int]]:
    """Return where the texts between fences start and end, in order."""
    return [found.span(2) for found in _FENCED.finditer(text)]


def without_middle(text: str, length: int, prompts: Prompts) -> str:
    """Return the beginning and the end of `text`, and how much is left out between them, in `length` bytes of UTF-8.

    If not even what says so has room, it is all that is left; a text that would not become shorter stays as it is.
    """
    data = text.encode(errors="replace")
    if len(data) <= length:
        return text
    kept = max(0, length - len(_told(len(text), prompts))) // 2
    first, last = data[:kept].decode(errors="ignore"), data[len(data) - kept :].decode(errors="ignore")
    shorter = f"{first}{_told(len(text) - len(first) - len(last), prompts)}{last}"
    return shorter if len(shorter.encode()) < len(data) else text


def _told(size: int, prompts: Prompts) -> str:
    return f"\n{prompts.render('left_out', size=f'{size:,}')}\n"


def briefly(text: str, length: int) -> str:
    """Return `text` in one line of at most `length` bytes of UTF-8: of a longer one, two thirds are its beginning."""
    flat = " ".join(text.split())
    data = flat.encode(errors="replace")
    if len(data) <= length:
        return flat
    last = max(0, length - len(_GAP)) // 3
    first = max(0, length - len(_GAP) - last)
    return data[:first].decode(errors="ignore") + _GAP + data[len(data) - last :].decode(errors="ignore")
