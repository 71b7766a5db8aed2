"""Where in a text its answer stands."""

from __future__ import annotations

import re

MAX_CHARACTERS = 200_000

# "####" is the mark of GSM8K's solutions before a number, and a heading before anything else.
_MARKER = re.compile(
    r"\banswer\b\**\s*(?:is\b|:|=)\s*:?|^####[ \t]*(?=[-$\u2212]{0,2}[\d.,/]{1,40}\s*$)", re.IGNORECASE | re.MULTILINE
)
_OPENING = re.compile(r"(?:[\s*$]|\\[\[(])*")
_BOX = re.compile(r"\\boxed\s*\{")


def tail(said: str) -> str:
    """The end of `said`, where its answer is; so much of it that no more would be read."""
    return said[-MAX_CHARACTERS:]


def marked_answer(said: str) -> str | None:
    """The answer as its mark tells it: what is after the last one, or in the last box; None where there is neither.

    Empty where the answer was cut off.
    """
    marked = after_marker(said)
    if _BOX.search(said if marked is None else marked) is None:
        return marked
    boxed = last_boxed(said)
    return boxed or marked or ""


def after_marker(said: str) -> str | None:
    """The line after the last "answer is", "Answer:" or "####" with a number; None where there is no such mark.

    Empty where nothing follows the mark: such an answer was cut off.
    """
    said = tail(said)
    place = None
    for found in _MARKER.finditer(said):
        place = found.end()
    if place is None:
        return None
    opened = _OPENING.match(said, place)
    return said[opened.end() if opened else place :].split("\n", 1)[0].strip().rstrip("*").strip()


def last_boxed(said: str) -> str | None:
    r"""The content of the last `\boxed{...}` whose braces balance; None if there is none."""
    said = tail(said)
    end = len(said)
    for start in reversed([found.end() for found in _BOX.finditer(said)]):
        inner = _balanced(said, start, end)
        if inner is not None:
            return inner
        # What is right of a box that is never closed cannot close one further left, so it is not looked at again.
        end = start
    return None


def _balanced(said: str, start: int, end: int) -> str | None:
    depth = 1
    for place in range(start, end):
        letter = said[place]
        if letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                return said[start:place]
    return None
