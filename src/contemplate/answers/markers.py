"""Locate the answer in a text, by markers."""

from __future__ import annotations

import re

MAX_CHARACTERS = 200_000

# "####" marks the answer in GSM8K solutions if a number follows; otherwise it is a heading.
_MARKER = re.compile(
    r"\banswer\b\**\s*(?:is\b|:|=)\s*:?|^####[ \t]*(?=[-$\u2212]{0,2}[\d.,/]{1,40}\s*$)", re.IGNORECASE | re.MULTILINE
)
_OPENING = re.compile(r"(?:[\s*$]|\\[\[(])*")
_BOX = re.compile(r"\\boxed\s*\{")


def tail(text: str) -> str:
    """Return the last `MAX_CHARACTERS` characters of `text`, which bounds the work."""
    return text[-MAX_CHARACTERS:]


def marked_answer(text: str) -> str | None:
    """Return the answer after the last marker, or in the last box; None if there is neither.

    Empty if the answer was truncated.
    """
    marked = after_marker(text)
    if _BOX.search(text if marked is None else marked) is None:
        return marked
    boxed = last_boxed(text)
    return boxed or marked or ""


def after_marker(text: str) -> str | None:
    """Return the line after the last "answer is", "Answer:" or "####" with a number; None if there is no marker.

    Empty if nothing follows the marker, since such an answer was truncated.
    """
    text = tail(text)
    place = None
    for found in _MARKER.finditer(text):
        place = found.end()
    if place is None:
        return None
    opened = _OPENING.match(text, place)
    return text[opened.end() if opened else place :].split("\n", 1)[0].strip().rstrip("*").strip()


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{...}` whose braces balance; None if there is none."""
    text = tail(text)
    end = len(text)
    for start in reversed([found.end() for found in _BOX.finditer(text)]):
        inner = _balanced(text, start, end)
        if inner is not None:
            return inner
        # Text to the right of an unclosed box cannot close one further left, so it is not scanned again.
        end = start
    return None


def _balanced(text: str, start: int, end: int) -> str | None:
    depth = 1
    for place in range(start, end):
        letter = text[place]
        if letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                return text[start:place]
    return None
